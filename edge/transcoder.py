"""One rpc as an HTTP endpoint: request to message, call, answer to JSON; the same code for every rpc there is."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from urllib.parse import urlencode

import orjson
from aviary.options.v1 import options_pb2
from google.protobuf.message import Message
from grpc import aio

from edge.auth import bearer
from edge.binding import Binding, parse_query, refusal
from edge.json_codec.encode import Encoder
from edge.login_line import LoginLine
from edge.routes import Route
from edge.sessions import Sessions
from edge.web import Header, Request, Response
from runtime.context import NOBODY, Caller, acting
from runtime.contract import field_options
from runtime.errors import FieldProblem, ServiceError, from_rpc

Finish = Callable[[Message], Awaitable[None]]
"""Completes an answer in place."""

_PRIVATE = b"private, no-cache"
_SHARED = b"no-cache"


class Endpoint:
    """Answers one route by one call of its rpc over `channel`."""

    def __init__(
        self,
        route: Route,
        channel: aio.Channel,
        encoder: Encoder,
        sessions: Sessions,
        finish: Finish | None = None,
        line: LoginLine | None = None,
    ) -> None:
        """`finish`: what is to be done with an answer before it is shown. `line`: in which its calls stand."""
        rpc = route.rpc
        self._finish = finish
        self.name = rpc.name
        self.first: bool | None = rpc.first
        self.route = route
        self.policy = rpc
        self.binding = Binding(route)
        self._rpc = rpc
        self._sessions = sessions
        call = channel.unary_unary(
            rpc.path,
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        self._call = partial(line.ask, call) if line else call
        self._encode = encoder.of(route.shown_type)
        self._next = next_fields(route)
        self._told = [(field, header.lower().encode()) for field, header in told_headers(route)]
        # Credentials stand in the body of such an rpc; an old token in the header must not keep anybody from a new one.
        self.looks_at_token = rpc.access != options_pb2.ACCESS_ANONYMOUS or bool(rpc.scope)

    async def __call__(self, request: Request, values: Sequence[str]) -> Response:
        """Answer a request; `values` are those of the path's variables. Raises ServiceError."""
        caller = await self._caller(request)
        message = await self.binding.message(request, values)
        try:
            with acting(caller, self._rpc.deadline_s, request.trace):
                answer = await self._call(message)
                if self._finish is not None:
                    await self._finish(answer)
        except aio.AioRpcError as error:
            raise self._in_http_words(from_rpc(error)) from error
        return self._present(request, caller, answer)

    async def _caller(self, request: Request) -> Caller:
        authorization = request.headers.get(b"authorization")
        if authorization is None or not self.looks_at_token:
            return NOBODY
        return (await self._sessions.admit(bearer(authorization))).caller

    def _in_http_words(self, error: ServiceError) -> ServiceError:
        """The failure with headers named as the client sent them."""
        headers = dict(self._rpc.headers)
        if not any(problem.field in headers for problem in error.fields):
            return error
        return refusal([FieldProblem(headers.get(p.field, p.field), p.message) for p in error.fields])

    def _present(self, request: Request, caller: Caller, answer: Message) -> Response:
        told: list[Header] = [
            (header, ", ".join(names).encode()) for field, header in self._told if (names := getattr(answer, field))
        ]
        if self._rpc.success == 204:
            return Response(204, headers=[(b"cache-control", b"no-store"), *told])
        shown = getattr(answer, self.route.flattened) if self.route.flattened else answer
        body = orjson.dumps(self._encode(shown))
        if self.route.verb != "GET":
            return Response(self._rpc.success, body, headers=[(b"cache-control", b"no-store"), *told])
        headers: list[Header] = [(b"vary", b"Authorization"), *told]
        headers.append((b"cache-control", _PRIVATE if caller.user_id else _SHARED))
        headers += self._link(request, answer)
        if self.route.flattened:
            # Weak: the same answer travels in several codings.
            tag = b'W/"%s"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()
            headers.append((b"etag", tag))
            if _matches(request.headers.get(b"if-none-match", b""), tag):
                return Response(304, headers=headers)
        return Response(self._rpc.success, body, headers=headers)

    def _link(self, request: Request, answer: Message) -> list[Header]:
        """Where the next page is, for who follows links instead of reading the body."""
        for field, parameter in self._next:
            if value := getattr(answer, field):
                rest = [(name, text) for name, text in parse_query(request.query) if name != parameter]
                query = urlencode([*rest, (parameter, value)]).encode()
                return [(b"link", b'<%s?%s>; rel="next"' % (request.raw_path, query))]
        return []


def next_fields(route: Route) -> list[tuple[str, str]]:
    """Fields of the answer that continue a list, each with the query parameter that takes its value."""
    parameters = route.request_type.fields_by_name
    names = [field.name for field in route.response_type.fields if field.name.startswith("next_")]
    return [(name, name.removeprefix("next_")) for name in names if name.removeprefix("next_") in parameters]


def told_headers(route: Route) -> list[tuple[str, str]]:
    """Fields of the answer, each a list of names, that travel in a header instead of the body, with that header."""
    marked = [(field.name, field_options(field).header) for field in route.response_type.fields]
    return [(name, header) for name, header in marked if header]


def _matches(if_none_match: bytes, tag: bytes) -> bool:
    if not if_none_match:
        return False
    given = [item.strip().removeprefix(b"W/") for item in if_none_match.split(b",")]
    return b"*" in given or tag.removeprefix(b"W/") in given
