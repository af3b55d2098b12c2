"""Repeating a write until it is acknowledged; which writes may be repeated, their owner knows."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runtime.errors import Unavailable

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5


async def until_acknowledged(write: Callable[[], Awaitable[T]], budget_s: float) -> T:
    """The answer of `write`, called again after every `Unavailable` until it is acknowledged.

    Only for writes that may be repeated: same ids, same timestamp. Raises Unavailable when `budget_s` seconds did not suffice.
    """
    pause = _FIRST_PAUSE_S
    try:
        async with asyncio.timeout(budget_s):
            while True:
                try:
                    return await write()
                except Unavailable:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE_S)
    except TimeoutError:
        raise Unavailable(f"a write was not acknowledged within {budget_s} s", retry_after_s=1) from None
