"""A small HTTP server for one ASGI application beside the gRPC one; health and metrics, not the public API."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import orjson
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Scope = dict[str, Any]
Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the process that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class OpsApp:
    """`/healthz` while alive, `/readyz` with the state of each dependency, `/metrics` for Prometheus."""

    def __init__(self, states: Callable[[], Mapping[str, str]]) -> None:
        self._states = states

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        status, body, kind = self.respond(scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def respond(self, path: str, texts: bool = True) -> tuple[int, bytes, str]:
        """Status, body and content type for a path; 404 for others. In public without the texts, which may hold addresses."""
        if path == "/healthz":
            return 200, b'{"alive":true}', "application/json"
        if path == "/readyz":
            states = {name: s if texts or s == "ok" else "failing" for name, s in self._states().items()}
            failing = {name: state for name, state in states.items() if state != "ok"}
            body = orjson.dumps({"ready": not failing, "checks": states, "failing": sorted(failing)})
            return 503 if failing else 200, body, "application/json"
        if path == "/metrics":
            return 200, generate_latest(), CONTENT_TYPE_LATEST
        return 404, b'{"detail":"only /healthz, /readyz and /metrics"}', "application/json"
