"""Waiting for conditions instead of sleeping; a condition that never comes fails the test after a generous time."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_S = 60.0


async def until(condition: Callable[[], bool | Awaitable[bool]], patience_s: float = PATIENCE_S) -> None:
    """Returns once the condition holds; raises TimeoutError when it never does."""
    async with asyncio.timeout(patience_s):
        while True:
            held = condition()
            if isinstance(held, Awaitable):
                held = await held
            if held:
                return
            await asyncio.sleep(0.01)
