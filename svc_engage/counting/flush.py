"""Stores what a batch of changes comes to. The order of the writes is what makes a crash between any two of them harmless."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from prometheus_client import Counter as Metric

from runtime.faults import Faults
from svc_engage import metrics
from svc_engage.counting.changes import Log
from svc_engage.counting.memory import Memory, Told
from svc_engage.counting.sums import Sums, apply, behind, members_of
from svc_engage.counting.telling import Teller
from svc_engage.domain.levels import Levels
from svc_engage.domain.marks import MarkKind
from svc_engage.domain.relations import NEVER, Count, Row, Subject
from svc_engage.store import Counted, EngageStore

_LISTS_AT_ONCE = 32


class Flush:
    """Reads what a batch needs, sums it up, and writes."""

    def __init__(self, log: Log, store: EngageStore, teller: Teller, levels: Levels, faults: Faults) -> None:
        self._log = log
        self._store = store
        self._teller = teller
        self._levels = levels
        self._faults = faults

    async def store(self, memory: Memory, told: Sequence[Told], until: int) -> Sums:
        """Count the first changes of a partition's queue, up to `until`. Raises Unavailable; then the same is to be done again.

        Counts come first: while they know their place, rows that lag behind are told from rows that do not. The position, which
        comes last, is `store_position`: until it is stored everything is read again.
        """
        sums = await self._sum(memory, told, until)
        if sums.further:
            await self._store.put_counts(sums.further)
            _note(metrics.COUNT_WRITES, sums.further)
        self._faults.at("engage.count.after_counts")
        if sums.counts:
            # Also those that were stored before: who stored them may have broken off here.
            await self._teller.tell(memory.partition, sums.counts)
        self._faults.at("engage.count.after_redis")
        await self._list(told, sums)
        rows = [
            Counted(subject, member, sums.counts[subject].level, row)
            for subject, members in sums.rows.items()
            for member, row in members.items()
        ]
        if rows:
            await self._store.put_counted(rows)
            _note(metrics.ROW_WRITES, [row.subject for row in rows])
        self._faults.at("engage.count.after_rows")
        return sums

    async def store_position(self, partition: int, until: int) -> None:
        """What is counted up to here need not be read again. Raises Unavailable."""
        await self._store.put_position(self._log.durable, partition, until)
        self._faults.at("engage.count.after_position")

    async def _sum(self, memory: Memory, told: Sequence[Told], until: int) -> Sums:
        changes = [one.change for one in told]
        wanted = members_of(changes)
        if not wanted:
            return Sums({}, {}, {}, set())
        counts: dict[Subject, Count] = {s: memory.kept[s] for s in wanted if s in memory.kept}
        if unknown := [s for s in wanted if s not in counts]:
            counts |= await self._store.counts(unknown)
        rows = await self._store.rows(wanted, {s: c.level for s, c in counts.items()})
        if ahead := behind(counts, rows):
            # Another owner counted further; counts are stored before rows, so now they are at least as far.
            counts |= await self._store.counts(ahead)
        sums = apply(changes, until, counts, rows, self._levels)
        memory.saw(_before(rows, sums))
        return sums

    async def _list(self, told: Sequence[Told], sums: Sums) -> None:
        """Write the lists of likes whose request did not come to it, before the like counts as counted."""
        if self._log.state_of is None:
            return
        missing = [
            one
            for one in told
            if (row := sums.rows.get(one.change.subject, {}).get(one.change.member, NEVER)).version
            == one.change.version
            and row.at < row.version
        ]
        for start in range(0, len(missing), _LISTS_AT_ONCE):
            await asyncio.gather(*(self._list_one(one) for one in missing[start : start + _LISTS_AT_ONCE]))
        metrics.LIST_WRITES.inc(len(missing))

    async def _list_one(self, one: Told) -> None:
        assert self._log.state_of is not None
        state = self._log.state_of(one.item)
        before = await self._store.mark(state.user_id, MarkKind.LIKE, state.tweet_id)
        if before.at > state.at:
            return
        # The same state already: a request has begun to write it; what it replaced is dropped when it is seen in a list.
        delta = before.delta if before.at == state.at else state.liked - before.present
        await self._store.set_like(state, before, delta)
        await self._teller.listed(state, before, delta)


def _before(rows: dict[Subject, dict[bytes, Row]], sums: Sums) -> dict[Subject, dict[bytes, Row]]:
    return {s: {m: rows[s].get(m, NEVER) for m in members} for s, members in sums.rows.items()}


def _note(metric: Metric, subjects: Iterable[Subject]) -> None:
    for kind, number in Counter(subject.kind for subject in subjects).items():
        metric.labels(kind.name.lower()).inc(number)
