"""One connection to Redis for a whole process, on which everything that is asked in one turn of the loop travels together.

redis-py takes a connection, a task switch and some 120 us of Python for each question; this takes 15. It is for what every read asks;
all else goes by the client of redis-py, whose connections do not wait for each other.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.exceptions import ResponseError

from runtime.errors import Unavailable
from runtime.telemetry import logger

SILENCE_S = 0.25
"""So long a question waits for Redis. It answers in less than a millisecond; whoever asks has a store to turn to."""

PAUSE_S = 0.2
"""So long after a connection was lost, or was not made, until the next is tried."""

_PORT = 6379
# Whatever else Redis refuses tells of the server, which is full, busy, starting, alone or changing its primary.
_ABOUT_THE_QUESTION = ("ERR ", "WRONGTYPE ")

Word = bytes | str | int
Replies = list[Any]

log = logger(__name__)


class Line:
    """Asks Redis. Whatever it cannot ask it refuses at once, so that a Redis that is away or hangs delays nobody for long."""

    def __init__(self, url: str, silence_s: float = SILENCE_S) -> None:
        self._url = url
        self._silence_s = silence_s
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[_Wire] | None = None
        self._tried_at = -PAUSE_S
        self._lost = False
        self._closed = False

    async def ask(self, *commands: Sequence[Word]) -> Replies:
        """The replies to some commands, sent together. A reply may be an error of Redis, a `hiredis.ReplyError`.

        Raises Unavailable when there is no answer within `silence_s`, a quarter of a second; then they may have been done or not.
        """
        if not commands:
            return []
        wire = self._wire if self._wire is not None and self._wire.is_open else await self._opened()
        return await wire.ask(commands)

    async def execute_command(self, *words: Word) -> Any:
        """The reply to one command. Raises Unavailable, or ResponseError when Redis refuses it."""
        reply = (await self.ask(words))[0]
        if isinstance(reply, hiredis.ReplyError):
            if str(reply).startswith(_ABOUT_THE_QUESTION):
                raise ResponseError(str(reply))
            raise Unavailable(f"Redis is not able ({reply})", retry_after_s=1)
        return reply

    async def aclose(self) -> None:
        """Close the connection; nothing can be asked any more."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._wire is not None:
            self._wire.close("closed")

    async def _opened(self) -> "_Wire":
        """The connection, made anew. The first of all is waited for; after a loss everybody is refused until it is there."""
        self._lost = self._lost or self._wire is not None
        if self._opening is None and not self._closed and time.monotonic() - self._tried_at >= PAUSE_S:
            self._tried_at = time.monotonic()
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(self._opened_or_not)
        if self._opening is None or self._lost:
            raise _away("no connection")
        return await asyncio.shield(self._opening)

    async def _open(self) -> "_Wire":
        options = cast(dict[str, Any], parse_url(self._url))
        secure = None
        if options.pop("connection_class", None) is SSLConnection:
            secure = SSLConnection(**options).ssl_context.get()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._silence_s):
                _, wire = await loop.create_connection(
                    lambda: _Wire(self._silence_s),
                    options.get("host", "localhost"),
                    options.get("port", _PORT),
                    ssl=secure,
                )
        except (OSError, TimeoutError) as error:
            raise _away(repr(error)) from error
        # A server that hangs accepts connections, too: only an answer tells that it is there.
        greeting: list[Sequence[Word]] = [("SELECT", options.get("db", 0)), ("PING",)]
        if "password" in options:
            greeting.insert(0, ("AUTH", options.get("username", "default"), options["password"]))
        for reply in await wire.ask(greeting):
            if isinstance(reply, hiredis.ReplyError):
                wire.close(str(reply))
                raise _away(str(reply))
        return wire

    def _opened_or_not(self, opening: "asyncio.Task[_Wire]") -> None:
        self._opening = None
        if opening.cancelled():
            return
        if error := opening.exception():
            if not self._lost:
                log.warning("redis_away", error=str(error))
            self._lost = True
            return
        self._wire, self._lost = opening.result(), False


class _Wire(asyncio.Protocol):
    """A connection: questions go out in order, replies come back in the same order."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[Replies], int, float]] = deque()
        self._arrived: Replies = []
        self._leaving: list[bytes] = []
        self._watching: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.is_open = True

    async def ask(self, commands: Sequence[Sequence[Word]]) -> Replies:
        """See Line. Raises Unavailable."""
        if not self.is_open:
            raise _away("the connection was lost")
        if not self._leaving:
            self._loop.call_soon(self._leave)
        for words in commands:
            # Its stub means a tuple of any length.
            self._leaving.append(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]
        replies: asyncio.Future[Replies] = self._loop.create_future()
        self._waiting.append((replies, len(commands), self._loop.time()))
        if self._watching is None:
            self._watching = self._loop.call_later(self._silence_s, self._watch, 0)
        return await replies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._arrived.append(reply)
            waiter, wanted, _ = self._waiting[0]
            if len(self._arrived) == wanted:
                self._waiting.popleft()
                replies, self._arrived = self._arrived, []
                # Who asked may have given up.
                if not waiter.done():
                    waiter.set_result(replies)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.close("the connection was lost")

    def close(self, why: str) -> None:
        """End the connection; whoever waits is refused."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()
        if self._watching is not None:
            self._watching.cancel()
        for waiter, _, _ in self._waiting:
            if not waiter.done():
                waiter.set_exception(_away(why))
        self._waiting.clear()

    def _leave(self) -> None:
        if self.is_open and self._transport is not None:
            self._transport.write(b"".join(self._leaving))
        self._leaving.clear()

    def _watch(self, overdue: int) -> None:
        """Look whether the oldest question has waited too long.

        Twice: when this process itself stood still, the answer may lie there unread.
        """
        self._watching = None
        if not self._waiting:
            return
        left_s = self._waiting[0][2] + self._silence_s - self._loop.time()
        if left_s > 0:
            self._watching = self._loop.call_later(left_s, self._watch, 0)
        elif overdue:
            log.warning("redis_silent", waiting=len(self._waiting))
            self.close("no answer in time")
        else:
            self._watching = self._loop.call_later(self._silence_s / 10, self._watch, 1)


def _away(why: str) -> Unavailable:
    return Unavailable(f"Redis did not answer ({why})", retry_after_s=1)
