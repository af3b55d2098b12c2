"""The ASGI application of the public port: finds the endpoint, and gives every answer what all answers have."""

import time
from collections.abc import Awaitable, Sequence
from typing import Protocol

from prometheus_client import Counter, Histogram

from edge import problems
from edge.addresses import Proxies
from edge.binding import refusal
from edge.compression import compressed
from edge.cors import Cors
from edge.routes import RouteTable
from edge.tarpit import Tarpit
from edge.web import Request, Response, send_response
from runtime.admission import Admission
from runtime.context import acting, current_caller
from runtime.errors import ServiceError
from runtime.http import Receive, Scope, Send
from runtime.policy import Policy
from runtime.telemetry import SECONDS, logger

log = logger(__name__)

REQUESTS = Counter("aviary_edge_requests_total", "HTTP requests answered.", ["rpc", "outcome"])
REQUEST_SECONDS = Histogram("aviary_edge_request_seconds", "Time of an HTTP request.", ["rpc"], buckets=SECONDS)

_NOT_FOUND = "none"


class Target(Protocol):
    """What answers a route."""

    name: str
    """For metrics: the rpc, or the page."""
    first: bool | None
    """Let in before the rest when the edge has nearly too much to do. None for health: let in always, and not counted."""

    @property
    def policy(self) -> Policy:
        """Who may use it; judged where it is served, by runtime/policy.py."""

    def __call__(self, request: Request, values: Sequence[str], /) -> Awaitable[Response]:
        """The answer; raises ServiceError. `values` are those of the path's variables."""


class App:
    """Answers every request with a Response of a target or a problem document, never with anything else."""

    def __init__(
        self, table: RouteTable[Target], cors: Cors, max_in_flight: int, proxies: Proxies, tarpit: Tarpit
    ) -> None:
        self._table = table
        self._cors = cors
        self._admission = Admission(max_in_flight)
        self._proxies = proxies
        self._tarpit = tarpit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive, self._proxies)
        started = time.perf_counter()
        name, response, error = await self._answer(request)
        response = compressed(response, request.headers.get(b"accept-encoding", b""))
        response.headers.append((b"x-request-id", request.request_id.encode()))
        response.headers.append((b"x-content-type-options", b"nosniff"))
        response.headers += self._cors.headers(request.headers.get(b"origin"), request.raw_path)
        REQUESTS.labels(name, str(response.status)).inc()
        REQUEST_SECONDS.labels(name).observe(time.perf_counter() - started)
        if error is not None:
            await self._tarpit.hold(error)
        await send_response(response, request.method, send)

    async def _answer(self, request: Request) -> tuple[str, Response, ServiceError | None]:
        """The name of what answered, its answer, and the failure that this tells of."""
        name = _NOT_FOUND
        entered = False
        try:
            if problems_of_head := request.head_problems():
                raise refusal(problems_of_head)
            if request.method == "OPTIONS":
                return "options", self._options(request), None
            target, values = self._table.find(request.method, request.raw_path)
            name = target.name
            if target.first is not None:
                self._admission.enter(name, target.first)
                entered = True
            return name, await target(request, values), None
        except ServiceError as error:
            if problems.http_status(error) >= 500:
                self._report(request, name, error)
            return name, problems.render(error, request.request_id), error
        except Exception as error:  # a defect: the client learns only where the log has it
            self._report(request, name, error)
            return name, problems.render(ServiceError(str(error)), request.request_id), None
        finally:
            if entered:
                self._admission.leave()

    def _options(self, request: Request) -> Response:
        methods = self._table.methods(request.raw_path)
        return Response(
            204, headers=[(b"allow", ", ".join(methods).encode()), *self._cors.preflight(methods, request.raw_path)]
        )

    @staticmethod
    def _report(request: Request, name: str, error: Exception) -> None:
        known = isinstance(error, ServiceError) and problems.http_status(error) != 500
        write = log.warning if known else log.error
        with acting(current_caller(), trace=request.trace):
            write(
                "request_failed",
                rpc=name,
                reason=error.reason if isinstance(error, ServiceError) else type(error).__name__,
                detail=str(error),
                request_id=request.request_id,
                exc_info=None if known else error,
            )
