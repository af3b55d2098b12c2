"""The serving end of lines: each call passes the same guard as on the ordinary port, in a task of its own; the calling end is line.py."""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import grpc
from aviary.mesh.v1 import line_pb2
from aviary.mesh.v1.line_pb2_grpc import LineServiceServicer
from google.protobuf.message import DecodeError
from grpc import aio

from coalesced.lines import LEAVING, PROCESS_KEY
from coalesced.outbox import LARGEST_BYTES, Outbox, Pieces
from runtime.callers import CALLER_KEY, TRACE_KEY
from runtime.errors import STATUS_KEY
from runtime.guard import NO_RETRY, GuardInterceptor
from runtime.telemetry import logger

MOST_LINES = 1000
_UNREAD_BYTES = 8 * 1024 * 1024
# A timer ends a call; a moment later than its time, so that it is seen why.
_AFTER_S = 0.001

log = logger(__name__)


class LineServicer(LineServiceServicer):
    """Serves lines. What is registered here is what calls on them may reach: the same as on the ordinary port of the process."""

    def __init__(self, interceptor: GuardInterceptor) -> None:
        self._interceptor = interceptor
        self._handlers: dict[str, Any] = {}
        self._process = os.urandom(8).hex()
        self._lines: set[_Line] = set()
        self._leaving = False

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Part of a gRPC server's interface that generated code calls."""
        unary = {f"/{service_name}/{n}": h for n, h in method_handlers.items() if h.unary_unary is not None}
        self._handlers.update(unary)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Part of a gRPC server's interface that generated code calls; the registered handlers say the same."""

    async def Carry(self, requests: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802 - it writes, and does not yield
        """Serve a line until its client ends it, or is gone."""
        if self._leaving:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the process stops", (LEAVING,))
        if len(self._lines) >= MOST_LINES:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "more lines than a process takes")
        line = _Line(context, self._interceptor, self._handlers)
        self._lines.add(line)
        try:
            await line.run(self._process)
        finally:
            self._lines.discard(line)

    def leave(self) -> None:
        """Tell every client to go elsewhere with new calls. Lines end as soon as their clients have no call at work."""
        self._leaving = True
        for line in self._lines:
            line.leave()


class _Details(NamedTuple):
    """As a gRPC server tells an interceptor of a call."""

    method: str
    invocation_metadata: tuple[tuple[str, Any], ...]


class _Refused(Exception):
    """The guard has ended a call."""

    def __init__(self, code: grpc.StatusCode, detail: str, trailing: Iterable[tuple[str, Any]]) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.trailing = tuple(trailing)


class _Context:
    """What the guard asks the context of a call: here of one on a line, whose other end is that of the line."""

    __slots__ = ("_end", "_line")

    def __init__(self, line: "_Line", end: float) -> None:
        self._line = line
        self._end = end

    def time_remaining(self) -> float:
        """Seconds."""
        return self._end - asyncio.get_running_loop().time()

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What the other end is certified to be."""
        return self._line.certified

    def peer(self) -> str:
        """Its address."""
        return self._line.peer

    async def abort(
        self, code: grpc.StatusCode, details: str, trailing_metadata: Iterable[tuple[str, Any]]
    ) -> NoReturn:
        """End the call."""
        raise _Refused(code, details, trailing_metadata)


class _Answer:
    """What comes of a call."""

    __slots__ = ("data", "number")
    besides = 0

    def __init__(self, number: int, data: bytes) -> None:
        self.number = number
        self.data = data

    def put(self, message: line_pb2.CarryResponse, data: bytes) -> None:
        """Say it to the client."""
        message.answers.add(number=self.number, response=data)


class _Failure:
    """Why nothing comes of a call."""

    data = b""

    def __init__(
        self, number: int, code: grpc.StatusCode, detail: str, trailing: Sequence[tuple[str, Any]] = ()
    ) -> None:
        self.number = number
        self._code = code.value[0]
        self._detail = detail
        self._status = dict(trailing).get(STATUS_KEY, b"")
        self._final = NO_RETRY in trailing
        self.besides = len(detail) + len(self._status)

    def put(self, message: line_pb2.CarryResponse, data: bytes) -> None:
        """Say it to the client."""
        failure = message.answers.add(number=self.number).failure
        failure.code, failure.detail, failure.status, failure.final = (
            self._code,
            self._detail,
            self._status,
            self._final,
        )


class _Leaving:
    """The process stops."""

    number, data, besides = 0, b"", 0

    def put(self, message: line_pb2.CarryResponse, data: bytes) -> None:
        """Say it to the client."""
        message.leaving = True


class _Line:
    """One stream from one client."""

    def __init__(self, context: Any, interceptor: GuardInterceptor, handlers: Mapping[str, Any]) -> None:
        self.certified: Mapping[str, Iterable[bytes]] = context.auth_context()
        self.peer: str = context.peer()
        self._stream = context
        self._interceptor = interceptor
        self._handlers = handlers
        self._out: Outbox[line_pb2.CarryResponse] = Outbox(line_pb2.CarryResponse)
        self._pieces = Pieces()
        self._at_work: dict[int, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()

    async def run(self, process: str) -> None:
        """Serve until the client has ended its half and everything is answered; when it is gone, what is at work is cancelled."""
        await self._stream.send_initial_metadata(((PROCESS_KEY, process),))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._out.run(self._write))
                both.create_task(self._read())
        finally:
            for task in self._at_work.values():
                task.cancel()

    def leave(self) -> None:
        """Tell the client that the process stops."""
        self._out.add(_Leaving())

    async def _write(self, message: line_pb2.CarryResponse) -> None:
        try:
            await self._stream.write(message)
        except aio.InternalError:
            # The client is gone. gRPC, which says so in this way, cancels the rpc next.
            await asyncio.Event().wait()

    async def _read(self) -> None:
        while (said := await self._stream.read()) is not aio.EOF:
            for number in said.cancelled:
                self._cancel(number)
            for piece in said.pieces:
                self._pieces.add(piece)
            for call in said.calls:
                self._begin(call)
            # Who asks and does not listen is not heard any more.
            await self._out.below(_UNREAD_BYTES)
        if self._at_work:
            await asyncio.wait(self._at_work.values())
        self._out.finish()

    def _cancel(self, number: int) -> None:
        self._pieces.drop(number)
        self._out.drop(number)
        task = self._at_work.get(number)
        if task is not None:
            task.cancel()

    def _begin(self, call: line_pb2.LineCall) -> None:
        number = call.number
        data = self._pieces.whole(number, call.request) if self._pieces else call.request
        if data is None:
            text = f"the request has more than {LARGEST_BYTES} bytes"
            self._out.add(_Failure(number, grpc.StatusCode.RESOURCE_EXHAUSTED, text))
            return
        self._at_work[number] = self._loop.create_task(self._serve(call, data))

    async def _serve(self, call: line_pb2.LineCall, data: bytes) -> None:
        number, left = call.number, call.left_us / 1e6
        task = self._at_work[number]
        timer = self._loop.call_later(left + _AFTER_S, task.cancel)
        try:
            said: _Answer | _Failure = await self._answer(call, data, self._loop.time() + left)
        finally:
            timer.cancel()
            del self._at_work[number]
        self._out.add(said)

    async def _answer(self, call: line_pb2.LineCall, data: bytes, end: float) -> _Answer | _Failure:
        number, path = call.number, call.path
        registered = self._handlers.get(path)
        if registered is None:
            return _Failure(number, grpc.StatusCode.UNIMPLEMENTED, f"{path} is not served here")
        metadata = ((CALLER_KEY, call.caller),) if call.caller else ()
        if call.trace:
            metadata = (*metadata, (TRACE_KEY, call.trace))

        async def continuation(_: Any) -> Any:
            return registered

        try:
            handler = await self._interceptor.intercept_service(continuation, _Details(path, metadata))
            request = handler.request_deserializer(data)
            answer = handler.response_serializer(await handler.unary_unary(request, _Context(self, end)))
        except _Refused as refused:
            return _Failure(number, refused.code, refused.detail, refused.trailing)
        except DecodeError as error:
            return _Failure(number, grpc.StatusCode.INTERNAL, f"the request cannot be read: {error}")
        except Exception:
            # The guard lets nothing else through.
            log.exception("line_call_failed", path=path)
            return _Failure(number, grpc.StatusCode.UNKNOWN, "something went wrong here; the log has it")
        return _Answer(number, answer)
