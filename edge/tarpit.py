"""A tarpit: who would ask again as soon as it was refused is told so late. Here it costs a timer; those who flood, their speed."""

import asyncio
from collections.abc import Awaitable, Callable

from aviary.user.v1 import reason_pb2

from runtime.errors import ServiceError, named

HELD_S = 1.0
"""No longer than any of these refusals asks to wait (Retry-After): nobody who does as it says gets in later for it."""
MOST = 10_000
"""So many are held at once; whoever comes then is told at once."""

_HELD = {
    named(reason_pb2.Reason, reason)
    for reason in (reason_pb2.REASON_TOO_MANY_LOGINS, reason_pb2.REASON_TOO_MANY_GUESSES)
}


class Tarpit:
    """Holds back that there are too many logins, or wrong passwords.

    Who is held has left the room of the edge, so that a flood keeps nobody else out of it.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep, most: int = MOST) -> None:
        self._sleep = sleep
        self._most = most
        self._held = 0

    async def hold(self, error: ServiceError) -> None:
        """Return when a failure is to be told: at once, unless it is one of those."""
        if error.reason not in _HELD or self._held >= self._most:
            return
        self._held += 1
        try:
            await self._sleep(HELD_S)
        finally:
            self._held -= 1
