"""The levels of accounts' followers in CQL, remembered for a while; what a level means is in levels.py, who raises it in growth.py."""

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cql_client import Cql
from svc_graph.levels import Level
from svc_graph.store import parts

_LEVEL_0 = Level()


@dataclass(frozen=True, slots=True)
class LevelLimits:
    """When levels rise, and for how long a process may believe one."""

    partition_followers: int = 50_000
    """A partition with so many is full."""
    believed_s: float = 30.0
    remembered: int = 100_000
    """Accounts whose level a process remembers."""


class CqlLevels:
    """Levels never fall. A level that this process read longer than `believed_s` ago is read again before it is used."""

    def __init__(self, cql: Cql, limits: LevelLimits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._cql = cql
        self._monotonic = monotonic
        self._known: OrderedDict[uuid.UUID, tuple[float, Level]] = OrderedDict()
        # At which levels are the followers of these accounts?
        self._levels = cql.prepare(
            "SELECT followee_id, read_level, written_level, opened_1, opened_2 FROM follower_levels WHERE followee_id IN ?"
        )
        self._mark = cql.prepare("INSERT INTO follower_levels (followee_id, read_level) VALUES (?, ?)")
        self._open = {
            level: cql.prepare(
                f"INSERT INTO follower_levels (followee_id, written_level, opened_{level}) VALUES (?, ?, ?)"
            )
            for level in (1, 2)
        }

    async def of(self, followee_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Level]:
        """The level of each, none of them older than `believed_s`."""
        oldest = self._monotonic() - self.limits.believed_s
        unknown = [one for one in set(followee_ids) if one not in self._known or self._known[one][0] < oldest]
        if unknown:
            await self._read(unknown)
        return {one: self._known[one][1] if one in self._known else _LEVEL_0 for one in followee_ids}

    async def fresh(self, followee_id: uuid.UUID) -> Level:
        """The level as it is stored now."""
        await self._read([followee_id])
        return self._known[followee_id][1]

    async def mark(self, followee_id: uuid.UUID, level: int) -> None:
        """From the return on every level that is read anew names this one among those to read."""
        # The level is the write's timestamp: whoever marks or opens an earlier one late changes nothing.
        await self._cql.execute(self._mark, (followee_id, level), timestamp_us=level)

    async def open(self, followee_id: uuid.UUID, level: int, now_us: int) -> None:
        """Let follows be added at this level."""
        await self._cql.execute(self._open[level], (followee_id, level, now_us), timestamp_us=level)

    async def _read(self, followee_ids: list[uuid.UUID]) -> None:
        asked_at = self._monotonic()
        answers = await asyncio.gather(*(self._cql.execute(self._levels, (part,)) for part in parts(followee_ids)))
        stored = {
            row[0]: Level(row[1] or 0, row[2] or 0, tuple(opened for opened in row[3:] if opened is not None))
            for rows in answers
            for row in rows
        }
        for one in followee_ids:
            self._known[one] = (asked_at, stored.get(one, _LEVEL_0))
            self._known.move_to_end(one)
        # What was just read stays, or who asks for more than can be remembered would take them for level 0.
        while len(self._known) > max(self.limits.remembered, len(followee_ids)):
            self._known.popitem(last=False)
