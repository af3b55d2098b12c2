"""Calls that are repeated while the other end is slow or away, for a bounded time. Which calls may be repeated is not decided here."""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from grpc import StatusCode, aio

from runtime.errors import from_rpc

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0
_PASSES = (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)


@dataclass(frozen=True)
class Patience:
    """How long a call is repeated, with what clock and what pauses: 0.25 s, doubling to 4 s."""

    total_s: float
    """From the first try on; the last one begins before it is over. 0: every call is tried once."""
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class CallFailed(aio.AioRpcError):
    """What a call failed with at last, and its rpc."""

    def __init__(self, rpc: str, tries: int, error: aio.AioRpcError) -> None:
        super().__init__(error.code(), error.initial_metadata(), error.trailing_metadata(), error.details())
        self.rpc = rpc
        """`TweetService.GetTweets`."""
        self.tries = tries

    def __str__(self) -> str:
        """One line for people."""
        failure = from_rpc(self)
        often = f" at each of {self.tries} tries" if self.tries > 1 else ""
        return f"{self.rpc} failed{often}: {failure.reason}: {failure.detail}"


class Patient:
    """What stubs need of a channel; its calls have patience, and their failures are CallFailed."""

    def __init__(self, channel: aio.Channel, patience: Patience) -> None:
        self._channel = channel
        self._patience = patience

    def unary_unary(self, method: str, *coders: Any, **options: Any) -> Any:
        """The callable of one rpc."""
        once = self._channel.unary_unary(method, *coders, **options)
        # "/aviary.tweet.v1.TweetService/GetTweets"
        rpc = method.rpartition(".")[2].replace("/", ".")

        def call(request: Any, **rest: Any) -> Any:
            # Each try is made for the caller for whom the call was made.
            carried = contextvars.copy_context()
            return _repeated(lambda: carried.run(once, request, **rest), rpc, self._patience)

        return call


async def _repeated(call: Callable[[], Awaitable[Any]], rpc: str, patience: Patience) -> Any:
    end, pause_s, tries = patience.monotonic() + patience.total_s, FIRST_PAUSE_S, 0
    while True:
        tries += 1
        try:
            return await call()
        except aio.AioRpcError as error:
            if error.code() not in _PASSES or patience.monotonic() + pause_s >= end:
                raise CallFailed(rpc, tries, error) from error
        await patience.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
