"""One look at a subject: its count, the sum of its rows and what is true, all as of one place, while counting goes on."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from svc_engage.counting.ascending import ascending
from svc_engage.counting.memory import Memory
from svc_engage.counting.truth import Truth
from svc_engage.domain.levels import last_shard
from svc_engage.domain.relations import NOTHING, Row, Subject, merged
from svc_engage.ledger import Ledger
from svc_engage.store import EngageStore

_PAGE_LEAST, _PAGE = 50, 250
"""A page is decoded in one turn of the loop: one of a thousand rows took 15 ms, and whoever liked something waited behind it."""
_HELD = 100_000
"""So many rows are held at once, but for pages of the least size; a subject may have millions."""
_WRONG_MOST = 10_000
"""So many members are corrected at once; what is wrong behind them is found at the next look."""
_CHANGED_MOST = 100_000
"""Of so many members is remembered, some 30 MB, how they were before they changed during a look."""


class Overtaken(Exception):
    """What was seen belongs to no one place: another process counts this partition, too, or too much changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen."""

    surplus: int
    """By how much the count is greater than the sum of the rows."""
    wrong: Mapping[bytes, tuple[Row, bool]]
    """Members that are counted otherwise than is true: the row, and what is true. What is on its way looks so, too."""

    def confirmed(self, first: "Look") -> "Look":
        """What was wrong in the same way at a look before."""
        same = {member: seen for member, seen in self.wrong.items() if first.wrong.get(member) == seen}
        return Look(self.surplus if self.surplus == first.surplus else 0, same)

    def __bool__(self) -> bool:
        return bool(self.surplus or self.wrong)


async def look(subject: Subject, memory: Memory, store: EngageStore, ledger: Ledger, truth: Truth) -> Look:
    """Look at a subject of a partition that this process owns. Raises Unavailable and Overtaken.

    Rows and members are read side by side, so who becomes a member meanwhile looks uncounted, as what is on its way does.
    """
    async with memory.turn:
        place = memory.counted
        count = (await store.counts([subject])).get(subject, NOTHING)
        if count.as_of > place:
            raise Overtaken
        before = memory.watched[subject] = {}
    try:
        total, wrong = 0, dict[bytes, tuple[Row, bool]]()
        rows = _rows(subject, count.level, ledger)
        async for member, now, is_member in _held_against(rows, truth.members(subject)):
            if len(before) > _CHANGED_MOST:
                raise Overtaken
            row = now
            if now.counted_at > place:
                if member not in before:
                    raise Overtaken
                row = before[member]
            total += row.counted
            true = (row.present if row.at <= place else row.counted) if is_member is None else is_member
            if row.counted != true and len(wrong) < _WRONG_MOST:
                wrong[member] = (row, true)
        return Look(count.count - total, wrong)
    finally:
        memory.watched.pop(subject, None)


async def _held_against(
    rows: AsyncIterator[tuple[bytes, Row]], members: AsyncIterator[bytes] | None
) -> AsyncIterator[tuple[bytes, Row, bool | None]]:
    """Every row and every member, ascending: what is stored of it, and whether it is a member; None where nobody else says so."""
    member = await anext(members, None) if members is not None else None
    async for stored, row in rows:
        while members is not None and member is not None and member < stored:
            yield member, Row(), True
            member = await _behind(member, members)
        yield stored, row, None if members is None else member == stored
        if members is not None and member == stored:
            member = await _behind(stored, members)
    while members is not None and member is not None:
        yield member, Row(), True
        member = await _behind(member, members)


async def _behind(last: bytes, members: AsyncIterator[bytes]) -> bytes | None:
    """The next member; while the followers of an account are split one may be in two lists."""
    while (member := await anext(members, None)) == last:
        pass
    return member


async def _rows(subject: Subject, level: int, ledger: Ledger) -> AsyncIterator[tuple[bytes, Row]]:
    """Every member once, ascending, with what the partitions of all levels say together.

    Those are read at different moments, while rows are written. What was there when the walk began is met in it, and of what came
    later the caller knows by its place, or by that of its state.
    """
    shards = range(last_shard(level) + 1)
    limit = min(max(_HELD // len(shards), _PAGE_LEAST), _PAGE)

    async def page(shard: int, after: bytes) -> tuple[list[tuple[bytes, Row]], bool]:
        found = await ledger.page(subject, shard, after, limit)
        return found, len(found) == limit

    last: tuple[bytes, Row] | None = None
    async for member, row in ascending([partial(page, shard) for shard in shards], itemgetter(0)):
        if last is not None and last[0] == member:
            last = member, merged(last[1], row)
            continue
        if last is not None:
            yield last
        last = member, row
    if last is not None:
        yield last
