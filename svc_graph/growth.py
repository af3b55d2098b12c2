"""Opens the next level for accounts whose partitions of followers are full; what levels are is in levels.py."""

import asyncio
import uuid
from typing import Protocol

from runtime.errors import Unavailable
from runtime.faults import Faults
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_graph.levels import TOP, Crowd
from svc_graph.levels_cql import CqlLevels

_WAITING = 1000
"""Partitions that wait to be counted at most; one that is left out is noticed again when more followers come."""
_AT_ONCE = 4

log = logger(__name__)


class Counter(Protocol):
    """Knows how many followers a partition holds."""

    async def partition_size(self, crowd: Crowd) -> int:
        """Its rows."""


class Growth:
    """Counts partitions of which somebody noticed that they might be full, and raises the level of their accounts.

    First the new level is stored as one that is read. Then it waits until no process can believe the old level any more;
    only then follows are added there, so nobody ever reads past one. Who dies in between leaves an account whose new level is
    read and empty: the next count goes on from there.
    """

    def __init__(self, levels: CqlLevels, clock: Clock, faults: Faults) -> None:
        self._levels = levels
        self._clock = clock
        self._faults = faults
        self._crowds: asyncio.Queue[Crowd] = asyncio.Queue(_WAITING)
        self._busy: set[uuid.UUID] = set()

    def noticed(self, crowd: Crowd) -> None:
        """This partition may be full."""
        if crowd.shard.level < TOP and crowd.followee_id not in self._busy and not self._crowds.full():
            self._crowds.put_nowait(crowd)

    async def run(self, counter: Counter) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(_AT_ONCE):
                workers.create_task(self._work(counter))

    async def _work(self, counter: Counter) -> None:
        while True:
            crowd = await self._crowds.get()
            if crowd.followee_id in self._busy:
                continue
            self._busy.add(crowd.followee_id)
            try:
                await self._look(crowd, counter)
            except Unavailable:
                log.warning("growth_put_off", level=crowd.shard.level)
            finally:
                self._busy.discard(crowd.followee_id)

    async def _look(self, crowd: Crowd, counter: Counter) -> None:
        level = await self._levels.fresh(crowd.followee_id)
        if level.written > crowd.shard.level:
            return
        begun = level.read > level.written
        if begun or await counter.partition_size(crowd) >= self._levels.limits.partition_followers:
            await self._raise(crowd.followee_id, level.written + 1)

    async def _raise(self, followee_id: uuid.UUID, level: int) -> None:
        self._faults.at("graph.grow.before_mark")
        # Also when somebody began: their mark may have reached one server and not enough of them.
        await self._levels.mark(followee_id, level)
        self._faults.at("graph.grow.after_mark")
        # As long again as a level is believed, for clocks that differ: a follow at the new level is later than all that was
        # decided by the old one.
        await asyncio.sleep(2 * self._levels.limits.believed_s)
        await self._levels.open(followee_id, level, self._clock.now_us())
        self._faults.at("graph.grow.after_open")
        log.info("followers_level_opened", level=level)
