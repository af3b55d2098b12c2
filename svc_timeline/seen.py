"""Notices that readers are there, once a day for each; what that means for fan-out is svc_graph's."""

import asyncio

from outbox import Announcer
from runtime.errors import Unavailable
from runtime.faults import Faults
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_timeline import metrics
from svc_timeline.days import reader_day
from svc_timeline.events import reader_seen
from svc_timeline.states import HomeStates

SOON_S = 0.05
"""An answer waits for so long until its reader is noted. Then the answer goes first, and a process that dies may forget it."""
REMEMBERED = 100_000
UNDER_WAY = 1_000

log = logger(__name__)


class SeenReaders:
    """The readers whom this process knows to be noted today. Who is noted is asked nowhere again until tomorrow.

    A reader is noted in one batch with the announcement. What could not be stored is forgotten: the next read notes it.
    """

    def __init__(self, states: HomeStates, outbox: Announcer, clock: Clock, faults: Faults) -> None:
        self._states = states
        self._outbox = outbox
        self._clock = clock
        self._faults = faults
        # In the order of noting: nobody is moved at each read.
        self._noted: dict[bytes, int] = {}
        self._running: dict[bytes, asyncio.Task[None]] = {}

    def begin(self, user_id: bytes) -> asyncio.Task[None] | None:
        """The reader is here. None when that is noted for today, or while too many are being noted; else the noting, which goes on whether
        anybody waits for it or not, and never fails.
        """
        day = reader_day(user_id, self._clock.now_ms())
        if self._noted.get(user_id) == day:
            return None
        running = self._running.get(user_id)
        if running is None:
            if len(self._running) >= UNDER_WAY:
                metrics.READERS_SEEN.labels("left_out").inc()
                return None
            running = self._running[user_id] = asyncio.create_task(self._note(user_id, day))
            running.add_done_callback(lambda _: self._running.pop(user_id, None))
        return running

    async def settle(self) -> None:
        """Wait until every noting that is under way has ended."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def _note(self, user_id: bytes, day: int) -> None:
        try:
            known = await self._states.last_read_day(user_id)
            if known is None or known < day:
                event = reader_seen(user_id, day)
                await self._states.set_read_day(user_id, day, announce=event)
                self._faults.at("timeline.seen.after_stored")
                await self._outbox.publish_soon(event)
        except Unavailable as error:
            metrics.READERS_SEEN.labels("failed").inc()
            log.warning("reader_not_noted", error=error.detail)
            return
        metrics.READERS_SEEN.labels("new_day" if known is None or known < day else "known").inc()
        self._noted.pop(user_id, None)
        self._noted[user_id] = day
        if len(self._noted) > REMEMBERED:
            del self._noted[next(iter(self._noted))]


async def noted_soon(noting: asyncio.Task[None] | None) -> None:
    """Wait for a noting, if there is one, for 50 ms at most."""
    if noting is not None:
        await asyncio.wait([noting], timeout=SOON_S)
