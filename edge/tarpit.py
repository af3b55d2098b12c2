"""A tarpit: who would ask again as soon as it was refused is told so late. Here it costs a timer; those who flood, their speed."""

import asyncio
from collections.abc import Awaitable, Callable

from edge.login_line import FULL
from runtime.errors import ServiceError

HELD_S = 1.0
"""As long as the refusal asks to wait (Retry-After): it is no later that somebody gets in who does as it says."""
MOST = 10_000
"""So many are held at once; whoever comes then is told at once."""


class Tarpit:
    """Holds back the refusals of logins. Who is held has left the room of the edge, so that a flood keeps nobody else out of it."""

    def __init__(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep, most: int = MOST) -> None:
        self._sleep = sleep
        self._most = most
        self._held = 0

    async def hold(self, error: ServiceError) -> None:
        """Return when a failure is to be told: at once, unless it is that there is no place in the line for passwords."""
        if error.reason != FULL or self._held >= self._most:
            return
        self._held += 1
        try:
            await self._sleep(HELD_S)
        finally:
            self._held -= 1
