"""One look at a subject: its count, the sum of its rows and what is true, all as of one place, while counting goes on."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from svc_engage.counting.memory import Memory
from svc_engage.counting.truth import Truth
from svc_engage.domain.levels import last_shard, level_of_shard
from svc_engage.domain.relations import NOTHING, Row, Subject
from svc_engage.ledger import Ledger
from svc_engage.store import EngageStore

_PAGE = 1_000


class Overtaken(Exception):
    """Another process counts this partition, too: what was seen belongs to no one place."""


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
    """Look at a subject of a partition that this process owns. Raises Unavailable, and Overtaken when another one owns it, too."""
    async with memory.turn:
        place = memory.counted
        count = (await store.counts([subject])).get(subject, NOTHING)
        if count.as_of > place:
            raise Overtaken
        before = memory.watched[subject] = {}
    try:
        # What is true is asked first: what is added to it later is behind the place, and no row of it counts yet.
        members = await truth.members(subject)
        missing, total, wrong = set(members or ()), 0, dict[bytes, tuple[Row, bool]]()
        async for member, now in _rows(subject, count.level, store, ledger):
            row = now
            if now.counted_at > place:
                if member not in before:
                    raise Overtaken
                row = before[member]
            total += row.counted
            true = (row.present if row.at <= place else row.counted) if members is None else member in members
            missing.discard(member)
            if row.counted != true:
                wrong[member] = (row, true)
        for member in missing:
            wrong[member] = (Row(), True)
        return Look(count.count - total, wrong)
    finally:
        memory.watched.pop(subject, None)


async def _rows(subject: Subject, level: int, store: EngageStore, ledger: Ledger) -> AsyncIterator[tuple[bytes, Row]]:
    """Every member once, with what the partitions of all levels say together."""
    for shard in range(last_shard(level) + 1):
        after, below = b"", level_of_shard(shard) - 1
        while True:
            page = await ledger.page(subject, shard, after, _PAGE)
            members = [member for member, _ in page]
            seen = (await store.rows({subject: members}, {subject: below}))[subject] if below >= 0 else {}
            merged = (await store.rows({subject: members}, {subject: level}))[subject] if level else dict(page)
            for member in members:
                if member not in seen:
                    yield member, merged[member]
            if len(page) < _PAGE:
                break
            after = members[-1]
