"""One stream to one process, with the calls that are on it; which stream a call takes is lines.py's."""

import asyncio
from typing import Any, Protocol

import grpc
from aviary.mesh.v1 import line_pb2
from grpc import aio

from coalesced.outbox import LARGEST_BYTES, Outbox, Pieces
from runtime.channel import rpc_error
from runtime.errors import STATUS_KEY
from runtime.guard import NO_RETRY

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_BATCH = 64


class Call:
    """One attempt at a call. `answer` is what comes of it: the bytes of the response, or an AioRpcError."""

    __slots__ = ("answer", "besides", "caller", "data", "end", "line", "number", "path", "sent_at", "trace")

    def __init__(self, path: str, data: bytes, caller: bytes, trace: str, end: float) -> None:
        self.path = path
        self.data = data
        self.caller = caller
        self.trace = trace
        self.end = end
        self.besides = len(path) + len(caller) + len(trace)
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.number = 0
        self.sent_at = 0.0
        self.line: Line | None = None

    def put(self, message: line_pb2.CarryRequest, data: bytes) -> None:
        """Say it to the server, with the time that is left now."""
        left_us = int((self.end - asyncio.get_running_loop().time()) * 1e6)
        message.calls.add(
            number=self.number,
            path=self.path,
            request=data,
            caller=self.caller,
            trace=self.trace,
            left_us=max(0, left_us),
        )

    def expire(self) -> None:
        """Its time is over."""
        if not self.answer.done():
            self.fail(rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", None))
            if self.line is not None:
                self.line.given_up(self)

    def fail(self, error: aio.AioRpcError) -> None:
        """End it, if it has not ended."""
        if not self.answer.done():
            self.answer.set_exception(error)


class _Cancel:
    """Nobody waits for the answer of a call any more."""

    data, besides = b"", 0

    def __init__(self, number: int) -> None:
        self.number = number

    def put(self, message: line_pb2.CarryRequest, data: bytes) -> None:
        """Say it to the server."""
        message.cancelled.append(self.number)


class Holder(Protocol):
    """Whoever gives calls to a line."""

    def leaving(self, line: "Line") -> None:
        """The process at its other end stops: send no more calls, and retire it."""

    def ended(self, line: "Line", unsent: list[Call]) -> None:
        """It is gone; these calls were never sent."""


class Line:
    """A stream that a server has accepted. Calls are sent until it breaks, or is retired and none is at work any more.

    When it breaks, calls that were sent fail as UNAVAILABLE: nobody knows what became of them.
    """

    def __init__(self, stream: Any, process: str, holder: Holder) -> None:
        self.process = process
        """The name of the process at the other end."""
        self.silent = False
        """A call on it has ended in vain, and nothing was heard since that was sent."""
        self.retired = False
        self._stream = stream
        self._holder = holder
        self._out: Outbox[line_pb2.CarryRequest] = Outbox(line_pb2.CarryRequest)
        self._pieces = Pieces()
        self._calls: dict[int, Call] = {}
        self._numbers = 0
        self._loop = asyncio.get_running_loop()
        self.opened_at = self._heard_at = self._loop.time()
        self._work = self._loop.create_task(self._run())

    @property
    def filling(self) -> bool:
        """Whether a message is being put together that has room for more calls."""
        return 0 < len(self._out) < _BATCH

    def send(self, call: Call) -> None:
        """Send a call with what else is sent in this turn of the loop."""
        self._numbers += 1
        call.number, call.line, call.sent_at = self._numbers, self, self._loop.time()
        self._calls[self._numbers] = call
        self._out.add(call)

    def withdraw(self, call: Call) -> None:
        """Nobody waits for the call any more; the server is told, if it has heard of it."""
        if self._calls.pop(call.number, None) is None:
            return
        self._pieces.drop(call.number)
        if not self._out.drop(call.number):
            self._out.add(_Cancel(call.number))
        self._finish_if_idle()

    def given_up(self, call: Call) -> None:
        """The call's time is over."""
        if self._heard_at < call.sent_at:
            self.silent = True
        self.withdraw(call)

    def retire(self) -> None:
        """Send no more calls, and end when those at work have ended."""
        self.retired = True
        self._finish_if_idle()

    async def close(self) -> None:
        """End it now; calls at work fail."""
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    def _finish_if_idle(self) -> None:
        if self.retired and not self._calls:
            self._out.finish()

    async def _run(self) -> None:
        writing = self._loop.create_task(self._write())
        why = "it ended the stream"
        try:
            while (said := await self._stream.read()) is not aio.EOF:
                self._hear(said)
        except aio.AioRpcError as error:
            why = error.details() or error.code().name
        except asyncio.CancelledError:
            why = "the channel is closed"
            raise
        finally:
            writing.cancel()
            self._end(f"the stream to the peer broke: {why}")

    async def _write(self) -> None:
        try:
            await self._out.run(self._stream.write)
            await self._stream.done_writing()
        except (aio.AioRpcError, asyncio.InvalidStateError):
            # The stream has ended: whoever reads is told why.
            return

    def _hear(self, said: line_pb2.CarryResponse) -> None:
        self._heard_at = self._loop.time()
        self.silent = False
        for piece in said.pieces:
            if piece.number in self._calls:
                self._pieces.add(piece)
        for answer in said.answers:
            call = self._calls.pop(answer.number, None)
            if call is not None:
                self._settle(call, answer)
        if said.leaving and not self.retired:
            self._holder.leaving(self)
        self._finish_if_idle()

    def _settle(self, call: Call, answer: line_pb2.LineAnswer) -> None:
        if answer.HasField("failure"):
            call.fail(failure_of(answer.failure))
            return
        # Also when nobody waits any more: its pieces are not kept.
        data = self._pieces.whole(call.number, answer.response) if self._pieces else answer.response
        if data is None:
            text = f"the answer has more than {LARGEST_BYTES} bytes"
            call.fail(rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, text, None))
        elif not call.answer.done():
            call.answer.set_result(data)

    def _end(self, why: str) -> None:
        self.retired = True
        calls, self._calls = self._calls, {}
        unsent = []
        for call in calls.values():
            if self._out.drop(call.number):
                unsent.append(call)
            else:
                call.fail(rpc_error(grpc.StatusCode.UNAVAILABLE, why, None))
        self._holder.ended(self, unsent)


def failure_of(failure: line_pb2.LineFailure) -> aio.AioRpcError:
    """The error that the same call on the ordinary port would have raised."""
    trailing: list[tuple[str, Any]] = [(STATUS_KEY, failure.status)] if failure.status else []
    if failure.final:
        trailing.append(NO_RETRY)
    code = _CODES.get(failure.code, grpc.StatusCode.UNKNOWN)
    return aio.AioRpcError(code, aio.Metadata(), aio.Metadata(*trailing), failure.detail)
