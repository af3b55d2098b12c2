"""Holds every follow against its mirrors and every row of a mirror against the follow, slowly and for ever, and repairs what differs.

Drift is to be zero, and this is how one knows. The reads and writes are in mirrors_cql.py.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from runtime.errors import Unavailable
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_graph.domain import Edge, version_of
from svc_graph.metrics import DRIFT, REPAIR_PASSES
from svc_graph.mirrors_cql import MIRRORS, CqlMirrors, Found
from svc_graph.time_lists import Edges

_FIRST_AFTER_S = 60.0

log = logger(__name__)


class Repair:
    """The repairing of one process. What is younger than `settled_s` may be on its way, in a batch log for instance, and is not judged."""

    def __init__(
        self,
        mirrors: CqlMirrors,
        edges: Edges,
        clock: Clock,
        *,
        rows_a_second: int = 100,
        again_s: float = 3600.0,
        settled_s: float = 1200.0,
        look_again_s: float = 1.0,
    ) -> None:
        """What differs is looked at again after `look_again_s`: an end under a block is as old as the follow, and may be on its way."""
        self._mirrors, self._edges, self._clock = mirrors, edges, clock
        self._rows_a_second, self._again_s, self._settled_s = rows_a_second, again_s, settled_s
        self._look_again_s = look_again_s

    async def run(self) -> None:
        """Walk until cancelled, for the first time a minute after the start."""
        await asyncio.sleep(min(_FIRST_AFTER_S, self._again_s))
        while True:
            try:
                await self.walk()
            except Unavailable as error:
                log.warning("repair_waits", error=repr(error))
            await asyncio.sleep(self._again_s)

    async def walk(self) -> int:
        """Look at everything once and repair it; how many differences there were. Raises Unavailable."""
        drift = 0
        async for edges in self._mirrors.edges():
            async with paced(len(edges), self._rows_a_second):
                drift += await self._add_what_lacks(edges)
        for mirror in MIRRORS:
            async for rows in self._mirrors.rows(mirror):
                async with paced(len(rows), self._rows_a_second):
                    drift += await self._remove_what_is_not(rows)
        REPAIR_PASSES.inc()
        log.info("repair_pass_ended", drift=drift)
        return drift

    async def _add_what_lacks(self, edges: Sequence[Edge]) -> int:
        latest = self._latest_us()
        lacks = await self._mirrors.lacks([edge for edge in edges if edge.following and edge.version < latest])
        if lacks:
            await asyncio.sleep(self._look_again_s)
            again = await self._edges.edges(list({edge.pair: None for edge, _ in lacks}))
            lacks = await self._mirrors.lacks([edge for edge in again if edge.following and edge.version < latest])
        for edge, lack in lacks:
            # At the time of the follow itself: an unfollow that comes meanwhile is later.
            await self._mirrors.store(lack, edge.version)
            DRIFT.labels(lack.mirror.name, "missing").inc()
            log.warning("follow_was_missing", table=lack.mirror.name, follow_id=str(edge.follow_id))
        return len(lacks)

    async def _remove_what_is_not(self, rows: Sequence[Found]) -> int:
        wrong = await self._of_no_follow(rows)
        if wrong:
            await asyncio.sleep(self._look_again_s)
            wrong = await self._of_no_follow(await self._mirrors.still_there([row for row, _ in wrong]))
        drift = 0
        for row, edge in wrong:
            version = version_of(row.follow_id)
            # A follow's own time where it is later than the truth, which knows nothing of it.
            await self._mirrors.remove(row, max(edge.version, version) if not edge.following else version)
            drift += 1
            DRIFT.labels(row.mirror.name, "extra").inc()
            log.warning("row_of_no_follow", table=row.mirror.name, follow_id=str(row.follow_id))
        return drift

    async def _of_no_follow(self, rows: Sequence[Found]) -> list[tuple[Found, Edge]]:
        """Those of the rows that are not of the follow that stands."""
        latest = self._latest_us()
        edges = await self._edges.edges([row.pair for row in rows])
        return [
            (row, edge)
            for row, edge in zip(rows, edges, strict=True)
            if not (edge.following and edge.follow_id == row.follow_id)
            and max(version_of(row.follow_id), edge.version) < latest
        ]

    def _latest_us(self) -> int:
        return self._clock.now_us() - int(self._settled_s * 1_000_000)


@asynccontextmanager
async def paced(rows: int, rows_a_second: int) -> AsyncIterator[None]:
    """Whatever it takes, no more rows a second than allowed."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    yield
    await asyncio.sleep(max(0.0, begun + rows / rows_a_second - loop.time()))
