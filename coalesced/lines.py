"""The streams of one channel: one to each process that the channel's balancing shows, renewed all the time; a stream is line.py."""

import asyncio
import random
from typing import Any

import grpc
from aviary.mesh.v1 import line_pb2
from grpc import aio

from coalesced.line import Call, Line
from runtime.callers import CALLER_KEY, CallerSigner
from runtime.channel import rpc_error
from runtime.context import NOBODY

CARRY = "/aviary.mesh.v1.LineService/Carry"
PROCESS_KEY = "aviary-process"
LEAVING = (PROCESS_KEY, "leaving")
"""Trailing metadata of a stream that a process refuses because it stops; the next one may be given to another."""
RENEW_S = 8.0
"""Between two looks at who is there. Two of them and the longest call end within the 30 s that an ageing connection is left."""
FIRST_WORD_S = 1.0
"""After which a process that was given a stream is taken to hang, and the next stream is tried."""


class Lines:
    """Gives each call to a process that is there, in turns; calls wait while nobody is known, until opening a stream has failed.

    A look at who is there opens one stream after the other, which gRPC spreads over the connections that it has, until a process
    comes a second time. Each stream replaces an older one to the same process, so none outlives its connection.
    """

    def __init__(self, connection: aio.Channel, signer: CallerSigner, renew_s: float = RENEW_S) -> None:
        self._stream = connection.stream_stream(
            CARRY,
            request_serializer=line_pb2.CarryRequest.SerializeToString,
            response_deserializer=line_pb2.CarryResponse.FromString,
        )
        self._signer = signer
        self._renew_s = renew_s
        self._lines: list[Line] = []
        self._retired: set[Line] = set()
        self._turn = 0
        self._waiting: list[Call] = []
        self._looking: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._closed = False

    def carry(self, call: Call) -> None:
        """Send it, now or when somebody is there."""
        line = self._next()
        if line is not None:
            line.send(call)
        elif self._closed:
            call.fail(rpc_error(grpc.StatusCode.UNAVAILABLE, "the channel is closed", None))
        else:
            self._waiting.append(call)
            self._look()

    async def close(self) -> None:
        """End every stream; what is at work fails."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        self._fail(rpc_error(grpc.StatusCode.UNAVAILABLE, "the channel is closed", None))
        await asyncio.gather(*(line.close() for line in [*self._lines, *self._retired]))

    def _next(self) -> Line | None:
        """The line that is being filled, unless it is silent; else the next one that is not silent, else the next one."""
        lines = self._lines
        if len(lines) < 2:
            return lines[0] if lines else None
        current = lines[self._turn % len(lines)]
        if current.filling and not current.silent:
            return current
        # Once round, and one more: when all are silent, none is asked alone.
        for _ in range(len(lines) + 1):
            self._turn = (self._turn + 1) % len(lines)
            if not lines[self._turn].silent:
                break
        return lines[self._turn]

    def _look(self) -> None:
        if self._closed or (self._looking is not None and not self._looking.done()):
            return
        if self._again is not None:
            self._again.cancel()
        self._looking = asyncio.get_running_loop().create_task(self._find())

    async def _find(self) -> None:
        """See who is there, once; while calls wait for the first, until it has said so or gRPC knows that nobody is."""
        found: set[str] = set()
        try:
            while True:
                line = await self._opened()
                if line is None:
                    # A process that hangs or leaves, perhaps beside others that do not.
                    if self._lines or not self._wanted():
                        break
                elif line.process in found and self._lines:
                    self._retire(line)
                    self._forget_all_but(found)
                    break
                else:
                    found.add(line.process)
                    self._take(line)
        except aio.AioRpcError as error:
            if not self._lines:
                self._fail(error)
        if self._lines:
            pause = self._renew_s * random.uniform(0.75, 1.25)
            self._again = asyncio.get_running_loop().call_later(pause, self._look)

    async def _opened(self) -> Line | None:
        """A new stream to some process; None when it did not say a word, or leaves. Raises AioRpcError when there is none."""
        stream: Any = self._stream(metadata=((CALLER_KEY, self._signer.sign(NOBODY)),))
        try:
            async with asyncio.timeout(FIRST_WORD_S):
                said = dict(await stream.initial_metadata())
                process = said.get(PROCESS_KEY)
                if process is None:
                    failure = await _failure(stream)
                    if LEAVING in tuple(failure.trailing_metadata() or ()):
                        return None
                    raise failure
        except TimeoutError:
            stream.cancel()
            return None
        except asyncio.CancelledError:
            stream.cancel()
            raise
        return Line(stream, process, self)

    def _take(self, line: Line) -> None:
        """Use a new line, in place of the one to the same process."""
        for old in [old for old in self._lines if old.process == line.process]:
            self._retire(old)
        self._lines.append(line)
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            if not call.answer.done():
                self.carry(call)

    def _retire(self, line: Line) -> None:
        if line in self._lines:
            self._lines.remove(line)
        self._retired.add(line)
        line.retire()

    def _forget_all_but(self, found: set[str]) -> None:
        """Leave processes that were not seen, twice: another call may have had their turn once."""
        oldest = asyncio.get_running_loop().time() - 1.5 * self._renew_s
        for line in [line for line in self._lines if line.process not in found and line.opened_at < oldest]:
            self._retire(line)

    def leaving(self, line: Line) -> None:
        """The process at the other end stops: calls go to others, which are looked for at once."""
        self._retire(line)
        self._look()

    def ended(self, line: Line, unsent: list[Call]) -> None:
        """A stream has ended; what it has not sent goes elsewhere."""
        self._retired.discard(line)
        if line in self._lines:
            self._lines.remove(line)
        for call in unsent:
            if not call.answer.done():
                self.carry(call)

    def _wanted(self) -> bool:
        self._waiting = [call for call in self._waiting if not call.answer.done()]
        return bool(self._waiting)

    def _fail(self, error: aio.AioRpcError) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call.fail(error)


async def _failure(stream: Any) -> aio.AioRpcError:
    """Why a stream was not accepted."""
    code, detail = await stream.code(), await stream.details()
    if code is grpc.StatusCode.OK:
        code, detail = grpc.StatusCode.UNIMPLEMENTED, "the peer ended a stream before its first word"
    return aio.AioRpcError(code, aio.Metadata(), await stream.trailing_metadata(), detail)
