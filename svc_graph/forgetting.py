"""Deletes what ended long ago: follows, blocks and mutes that no longer stand. The writes are in ended_cql.py, the proof in ADR 14."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from runtime.errors import Unavailable
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_graph.domain import Edge
from svc_graph.metrics import FORGOTTEN
from svc_graph.repair import paced
from svc_graph.stances import Stance

KEPT_S = 30 * 24 * 3600
_FIRST_AFTER_S = 600.0

log = logger(__name__)


class EndedRows(Protocol):
    """Reads stances and deletes rows."""

    def stances(self) -> AsyncIterator[list[Stance]]:
        """All of them, in pages."""

    async def drop_edge(self, edge: Edge) -> None:
        """Delete the row of a follow, at its version."""

    async def drop_stance(self, stance: Stance) -> None:
        """Delete the row of a stance, at its version."""


class Forgetting:
    """An ended state stays for `kept_s`, or an older write that arrives late would bring back what it ended.

    Then it is deleted at its own version, on every replica. What that deletion hides cannot come back as long as it is kept
    itself (gc_grace_seconds, 10 days), and no write is under way for so long: hints and batch logs end before.
    """

    def __init__(
        self,
        rows: EndedRows,
        edges: Callable[[], AsyncIterator[list[Edge]]],
        clock: Clock,
        *,
        kept_s: float = KEPT_S,
        rows_a_second: int = 100,
        again_s: float = 24 * 3600.0,
    ) -> None:
        """`edges` are all follows, ended ones too, in pages."""
        self._rows, self._edges, self._clock = rows, edges, clock
        self._kept_us, self._rows_a_second, self._again_s = int(kept_s * 1_000_000), rows_a_second, again_s

    async def run(self) -> None:
        """Walk until cancelled, for the first time some minutes after the start."""
        await asyncio.sleep(min(_FIRST_AFTER_S, self._again_s))
        while True:
            try:
                await self.walk()
            except Unavailable as error:
                # Also while a single replica is away: it may have what the others forget.
                log.warning("forgetting_waits", error=repr(error))
            await asyncio.sleep(self._again_s)

    async def walk(self) -> int:
        """Look at everything once; how many rows were deleted. Raises Unavailable."""
        forgotten = 0
        async for edges in self._edges():
            async with paced(len(edges), self._rows_a_second):
                over = [edge for edge in edges if not edge.following and self._is_old(edge.version)]
                await asyncio.gather(*map(self._rows.drop_edge, over))
                FORGOTTEN.labels("follow_edges").inc(len(over))
                forgotten += len(over)
        async for stances in self._rows.stances():
            async with paced(len(stances), self._rows_a_second):
                ended = [stance for stance in stances if self._is_over(stance)]
                await asyncio.gather(*map(self._rows.drop_stance, ended))
                FORGOTTEN.labels("stances").inc(len(ended))
                forgotten += len(ended)
        log.info("forgetting_pass_ended", forgotten=forgotten)
        return forgotten

    def _is_over(self, stance: Stance) -> bool:
        """Whether it ended long ago, by a change or by itself."""
        over = not stance.stands or (stance.until_ms and self._is_old(stance.until_ms * 1000))
        return bool(over) and self._is_old(stance.version)

    def _is_old(self, us: int) -> bool:
        return us < self._clock.now_us() - self._kept_us
