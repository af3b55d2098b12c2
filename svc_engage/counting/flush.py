"""Stores what a batch of changes comes to. The order of the writes is what makes a crash between any two of them harmless."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from prometheus_client import Counter as Metric

from runtime.faults import Faults
from svc_engage import metrics
from svc_engage.counting.memory import Memory, Told
from svc_engage.counting.sums import Summing, Sums, behind, latest_of
from svc_engage.counting.telling import Teller
from svc_engage.domain.levels import Levels
from svc_engage.domain.marks import UNMARKED, LikeSetting, LikeState, MarkKind
from svc_engage.domain.relations import NEVER, Count, Row, Subject
from svc_engage.like_writing import write_likes
from svc_engage.store import Counted, EngageStore, Position

CHANGES_A_SLICE = 200
"""So many are looked at in one turn of the loop, about a millisecond: it answers requests, too."""
ROWS_A_SLICE = 50
"""So many are written at once."""
LISTS_A_SLICE = 25
"""Of so many likes the lists are written at once; they are four rows each, and the telling of Redis."""
LISTS_EVERY_S = 0.015
"""From the beginning of a slice to that of the next, at least. One is written at a time: nobody waits for lists, and those of a
tweet that many like would be half of what a process does.
"""

T = TypeVar("T")


@dataclass(slots=True)
class Work:
    """The first changes of a partition's queue, up to the place `until`."""

    memory: Memory
    told: Sequence[Told]
    until: int
    sums: Sums = field(default_factory=lambda: Sums({}, {}, {}, {}, set()))
    """What they come to, once that is known."""


class _Unlisted(NamedTuple):
    """A like whose request did not come to all of its rows, and the row that is stored."""

    like: LikeState
    row: Row


class Flush:
    """Reads what a batch needs, sums it up, and writes; of all partitions that are due together."""

    def __init__(self, store: EngageStore, teller: Teller, levels: Levels, faults: Faults) -> None:
        self._store = store
        self._teller = teller
        self._levels = levels
        self._faults = faults

    async def store(self, works: Sequence[Work]) -> None:
        """Count. Raises Unavailable; then the same is to be done again.

        Counts come first: while they know their place, rows that lag behind are told from rows that do not. Positions, which
        come last, are `store_positions`: until they are stored everything is read again.
        """
        await self._sum(works)
        further = {subject: count for work in works for subject, count in work.sums.further.items()}
        async for some in _slices(further.items(), ROWS_A_SLICE):
            await self._store.put_counts(dict(some))
        _note(metrics.COUNT_WRITES, further)
        self._faults.at("engage.count.after_counts")
        # Also those that were stored before: who stored them may have broken off here.
        await self._teller.tell([(work.memory.partition, work.sums.counts) for work in works if work.sums.counts])
        self._faults.at("engage.count.after_redis")
        await self._list(works)
        async for rows in _slices(_rows(works), ROWS_A_SLICE):
            await self._store.put_counted(rows)
            _note(metrics.ROW_WRITES, [row.subject for row in rows])
        self._faults.at("engage.count.after_rows")

    async def store_positions(self, works: Sequence[Work]) -> None:
        """What is counted up to here need not be read again. Raises Unavailable."""
        if works:
            positions = [Position(one.memory.log.durable, one.memory.partition, one.until) for one in works]
            await self._store.put_positions(positions)
        for work in works:
            work.memory.position = work.until
        self._faults.at("engage.count.after_position")

    async def _sum(self, works: Sequence[Work]) -> None:
        counts, rows = await self._read(works)
        summings = {id(work): Summing(counts, rows, self._levels) for work in works}
        async for some in _slices(((work, one) for work in works for one in work.told), CHANGES_A_SLICE):
            for work, group in itertools.groupby(some, key=lambda pair: pair[0]):
                summings[id(work)].add(one.change for _, one in group)
        for work in works:
            work.sums = summings[id(work)].sums(work.until)
            work.memory.saw(_before(rows, work.sums))

    async def _read(self, works: Sequence[Work]) -> tuple[dict[Subject, Count], dict[Subject, dict[bytes, Row]]]:
        """Counts and rows of all that changes. What this process has counted, or its requests have written, it knows."""
        versions: dict[Subject, dict[bytes, int]] = {}
        memories: dict[Subject, Memory] = {}
        async for some in _slices(((work, one.change) for work in works for one in work.told), CHANGES_A_SLICE):
            latest_of((change for _, change in some), versions)
            memories.update((change.subject, work.memory) for work, change in some)
        counts = {one: memory.kept[one] for one, memory in memories.items() if one in memory.kept}
        if unknown := versions.keys() - counts.keys():
            counts |= await self._store.counts(unknown)
            for one in unknown - counts.keys():
                memories[one].begin(one)
        rows: dict[Subject, dict[bytes, Row]] = {one: {} for one in versions}
        unread: dict[Subject, list[bytes]] = {}
        members = ((one, member, version) for one, latest in versions.items() for member, version in latest.items())
        async for several in _slices(members, CHANGES_A_SLICE):
            for one, member, version in several:
                row = memories[one].row(one, member, version)
                if row is None:
                    unread.setdefault(one, []).append(member)
                else:
                    rows[one][member] = row
        if unread:
            metrics.ROW_READS.inc(sum(map(len, unread.values())))
            for one, found in (await self._store.rows(unread, {one: c.level for one, c in counts.items()})).items():
                rows[one] |= found
        if ahead := behind(counts, rows):
            # Another owner counted further; counts are stored before rows, so now they are at least as far.
            counts |= await self._store.counts(ahead)
        return counts, rows

    async def _list(self, works: Sequence[Work]) -> None:
        """Write the lists of likes whose request did not come to it, before the like counts as counted."""
        async for likes in _slices(_unlisted(works), LISTS_A_SLICE):
            await asyncio.gather(self._list_slice(likes), asyncio.sleep(LISTS_EVERY_S))

    async def _list_slice(self, likes: Sequence[_Unlisted]) -> None:
        settings = list(filter(None, [await self._setting(like) for like in likes]))
        await write_likes(settings, self._store, self._teller.cache, self._faults)
        metrics.LIST_WRITES.inc(len(likes))

    async def _setting(self, unlisted: _Unlisted) -> LikeSetting | None:
        """What is to be stored of it; None when a later state is."""
        like, row = unlisted
        if like.liked and not row.present:
            # It begins here, whatever was before: nothing of that stays, and nothing is to be known of it.
            return LikeSetting(like, UNMARKED, 1)
        before = await self._store.mark(like.user_id, MarkKind.LIKE, like.tweet_id)
        if before.at > like.at:
            return None
        # The same state already: a request has begun to write it; what it replaced is dropped when it is seen in a list.
        return LikeSetting(like, before, before.delta if before.at == like.at else like.liked - before.present)


def _unlisted(works: Sequence[Work]) -> Iterable[_Unlisted]:
    for work in works:
        if (state_of := work.memory.log.state_of) is not None:
            for change, item in work.told:
                row = work.sums.rows.get(change.subject, {}).get(change.member, NEVER)
                if row.version == change.version and row.at < row.version:
                    yield _Unlisted(state_of(item), row)


def _rows(works: Sequence[Work]) -> Iterable[Counted]:
    for work in works:
        for subject, members in work.sums.rows.items():
            level = work.sums.counts[subject].level
            for member, row in members.items():
                yield Counted(subject, member, level, row)


async def _slices(items: Iterable[T], size: int) -> AsyncIterator[Sequence[T]]:
    """So many at a time; between two of them the loop does what else there is."""
    left = iter(items)
    while some := list(itertools.islice(left, size)):
        yield some
        await asyncio.sleep(0)


def _before(rows: dict[Subject, dict[bytes, Row]], sums: Sums) -> dict[Subject, dict[bytes, Row]]:
    return {s: {m: rows[s].get(m, NEVER) for m in members} for s, members in sums.rows.items()}


def _note(metric: Metric, subjects: Collection[Subject]) -> None:
    for kind, number in Counter(subject.kind for subject in subjects).items():
        metric.labels(kind.name.lower()).inc(number)
