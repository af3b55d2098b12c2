"""Renewing ahead: what will soon be too old is asked for anew while it still serves, so that nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice

from grpc import aio

from flights import LOAD_DEADLINE_S
from runtime import telemetry
from runtime.context import NOBODY, acting

_EVERY_S = 0.2
"""What comes due so close together is asked for together: what was learned at the same time is so all at once."""

log = telemetry.logger(__name__)


class Ahead:
    """Renews behind the backs of those who ask, `together` at a time, one such go after the other.

    What cannot be renewed is left as it is: whoever asks when it is too old waits, and is told why.
    """

    def __init__(self, renew: Callable[[list[bytes]], Awaitable[object]], together: int) -> None:
        self._renew = renew
        self._together = together
        self._due: dict[bytes, None] = {}
        self._running: asyncio.Task[None] | None = None

    def soon(self, key: bytes) -> None:
        """Renew it in a moment."""
        self._due[key] = None
        if self._running is None:
            with acting(NOBODY):
                self._running = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._due:
                await asyncio.sleep(_EVERY_S)
                some = list(islice(self._due, self._together))
                with acting(NOBODY, LOAD_DEADLINE_S):
                    try:
                        await self._renew(some)
                    except aio.AioRpcError as error:
                        log.warning("not_renewed_ahead", keys=len(some), error=error.details())
                    finally:
                        # Only now: until then they may be found old, and due, once more. And always: nothing waits behind what fails.
                        for key in some:
                            del self._due[key]
        except Exception:
            log.exception("renewing_failed")
        finally:
            self._running = None
