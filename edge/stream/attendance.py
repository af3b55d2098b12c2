"""Keeps the book of who is connected to this edge true in Redis, through its losses; who is connected, the hub says."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection

from readers.presence import Attendees
from runtime import telemetry
from runtime.errors import Unavailable
from runtime.ids import Clock

BEAT_EVERY_S = 1.0
REFRESH_EVERY = 300
"""Beats between two refreshes of the same user: half of the time after which a user is forgotten."""

log = telemetry.logger(__name__)

Missed = Callable[[Collection[bytes], int], None]


class Attendance:
    """Counts the connections of each reader and writes down the first and the last.

    `missed(viewers, since_ms)` is called when readers are written down again of whom nobody knew for some time, since
    `since_ms` at the earliest: what happened meanwhile was not signalled to this edge.
    """

    def __init__(self, attendees: Attendees, edge_id: bytes, clock: Clock, missed: Missed) -> None:
        self._attendees = attendees
        self._edge_id = edge_id
        self._clock = clock
        self._missed = missed
        self._connections: Counter[bytes] = Counter()
        self._written: set[bytes] = set()
        self._beats = 0
        self._alive_ms = clock.now_ms()
        # One writer at a time: an arrival that is overtaken by the leaving before it would be lost.
        self._writing = asyncio.Lock()

    async def arrive(self, viewer: bytes) -> bool:
        """One more connection. False when Redis is away: the reader is written down later, and then `missed` is called."""
        self._connections[viewer] += 1
        return viewer in self._written or await self._write(viewer)

    async def leave(self, viewer: bytes) -> None:
        """One connection less."""
        self._connections[viewer] -= 1
        if self._connections[viewer] <= 0:
            del self._connections[viewer]
            await self._write(viewer)

    async def run(self) -> None:
        """Beat every second, until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(BEAT_EVERY_S)

    async def beat(self) -> None:
        """Tell that this edge lives, and write down who is due or was forgotten."""
        before = self._clock.now_ms()
        try:
            known = await self._attendees.beat(self._edge_id)
        except Unavailable as error:
            log.warning("presence_unknown", error=error.detail)
            return
        self._beats += 1
        due = {v for v in self._connections if v not in self._written}
        if not known:
            due = set(self._connections)
            self._written.clear()
        since, self._alive_ms = self._alive_ms, before
        again = [viewer for viewer in due if await self._write(viewer)]
        if again:
            self._missed(again, since)
        await self._refresh(self._beats % REFRESH_EVERY)

    async def _refresh(self, slot: int) -> None:
        # Spread over the slots by a byte that is random in a UUIDv7.
        for viewer in [v for v in self._written if v[-1] == slot]:
            self._written.discard(viewer)
            await self._write(viewer)

    async def _write(self, viewer: bytes) -> bool:
        """Write down what is true now. False when that was not possible."""
        async with self._writing:
            try:
                if self._connections[viewer] > 0:
                    if viewer not in self._written:
                        await self._attendees.arrive(viewer, self._edge_id)
                        self._written.add(viewer)
                elif viewer in self._written:
                    self._written.discard(viewer)
                    await self._attendees.leave(viewer, self._edge_id)
            except Unavailable as error:
                log.warning("presence_not_written", error=error.detail)
                return False
            return True
