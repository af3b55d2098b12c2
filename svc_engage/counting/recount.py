"""Counts everything again, slowly and for ever, and repairs what is wrong: drift is to be zero, and this is how one knows."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from grpc import aio

from runtime.errors import Unavailable
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_engage import metrics
from svc_engage.counting.changes import partition_of
from svc_engage.counting.looks import Look, Overtaken, look
from svc_engage.counting.machine import Machine
from svc_engage.counting.memory import Memory
from svc_engage.counting.telling import Teller
from svc_engage.counting.truth import Truth
from svc_engage.domain.levels import Levels
from svc_engage.domain.relations import NEVER, NOTHING, Count, Kind, Row, Subject
from svc_engage.ledger import LEAST_TOKEN, Ledger, PacedLedger
from svc_engage.store import Counted, EngageStore

_PAGE = 100
_TRIES = 10

log = logger(__name__)


class Recounts:
    """The recounting of one process, of the partitions that it owns; `run` is a background task of it."""

    def __init__(
        self,
        machines: Sequence[Machine],
        store: EngageStore,
        ledger: Ledger,
        truth: Truth,
        teller: Teller,
        clock: Clock,
        lag_ms: Callable[[str], Awaitable[int]],
        *,
        levels: Levels | None = None,
        every_s: float = 0.1,
        again_s: float = 30.0,
    ) -> None:
        """Takes a subject every `every_s`, resting between the pages of a large one; what looks wrong is looked at again after `again_s`,
        when all that was on its way is counted.

        `lag_ms`: the age of the oldest event that a durable did not count yet.
        """
        self._machines = {kind: machine for machine in machines for kind in machine.kinds}
        self._store, self._ledger, self._truth = store, PacedLedger(ledger), truth
        self._teller, self._clock, self._lag_ms = teller, clock, lag_ms
        self._levels = levels or Levels()
        self._every_s, self._again_s = every_s, again_s
        self._asked: dict[Subject, None] = {}
        self._lost: dict[tuple[Machine, int], None] = {}
        for machine in machines:
            machine.recount = partial(self._ask, machine)

    async def run(self) -> None:
        """Recount until cancelled: first what is asked for, then everything, again and again."""
        while True:
            await asyncio.sleep(self._again_s)
            try:
                await self.walk()
            except (Unavailable, aio.AioRpcError) as error:
                log.warning("recount_waits", error=repr(error))

    async def walk(self) -> None:
        """Recount all that this process owns, once. Raises Unavailable."""
        after: int | None = LEAST_TOKEN
        while after is not None:
            await self._urgent()
            page = await self._ledger.walk(after, _PAGE)
            for subject in page.counts:
                if self._memory(subject) is not None:
                    await asyncio.sleep(self._every_s)
                    await self.recount(subject)
            after = page.onwards

    async def recount(self, subject: Subject) -> Look | None:
        """What was wrong with a subject, and is right now; None when that cannot be said at the moment. Raises Unavailable."""
        memory = self._memory(subject)
        if memory is None:
            return None
        try:
            found = await look(subject, memory, self._store, self._ledger, self._truth)
            if found:
                if not await self._caught_up(subject.kind):
                    return None
                found = (await look(subject, memory, self._store, self._ledger, self._truth)).confirmed(found)
        except Overtaken:
            return None
        metrics.RECOUNTED.labels(subject.kind.name.lower()).inc()
        return found if not found or await self._repair(subject, memory, found) else None

    def _ask(self, machine: Machine, number: int, subjects: Sequence[Subject] | None) -> None:
        if subjects is None:
            self._lost[machine, number] = None
        else:
            self._asked.update(dict.fromkeys(subjects))

    async def _urgent(self) -> None:
        while self._lost or self._asked:
            while self._asked:
                subject = next(iter(self._asked))
                await self.recount(subject)
                self._asked.pop(subject, None)
            if self._lost:
                lost = next(iter(self._lost))
                await self._all_of(*lost)
                self._lost.pop(lost, None)

    async def _all_of(self, machine: Machine, number: int) -> None:
        after: int | None = LEAST_TOKEN
        while after is not None:
            page = await self._ledger.walk(after, _PAGE)
            for subject in page.counts:
                if subject.kind in machine.kinds and partition_of(subject) == number:
                    await self.recount(subject)
            after = page.onwards
        after = LEAST_TOKEN
        while after is not None:
            # Of a tweet whose first likes were lost there are rows, and no count.
            subjects, after = await self._ledger.walk_rows(after, _PAGE)
            mine = [s for s in subjects if s.kind in machine.kinds and partition_of(s) == number]
            for subject in set(mine) - (await self._store.counts(mine)).keys():
                await self.recount(subject)

    def _memory(self, subject: Subject) -> Memory | None:
        machine = self._machines.get(subject.kind)
        return machine.memory(partition_of(subject)) if machine else None

    async def _caught_up(self, kind: Kind) -> bool:
        """Wait until everything is counted that was announced by now; false when that takes too long."""
        began_ms = self._clock.now_ms()
        for _ in range(_TRIES):
            await asyncio.sleep(self._again_s)
            if await self._lag_ms(self._machines[kind].durable) < self._clock.now_ms() - began_ms:
                return True
        return False

    async def _repair(self, subject: Subject, memory: Memory, found: Look) -> bool:
        """Write what is right, between two batches of the partition. False when it was counted on meanwhile: it is looked at again."""
        async with memory.turn:
            place = memory.counted
            count = (await self._store.counts([subject])).get(subject, NOTHING)
            rows = (await self._store.rows({subject: list(found.wrong)}, {subject: count.level}))[subject]
            if memory is not self._memory(subject) or count.as_of > place:
                return False
            if any(rows.get(member, NEVER) != row for member, (row, _) in found.wrong.items()):
                return False
            total = count.count - found.surplus + sum(true - row.counted for row, true in found.wrong.values())
            level = max(count.level, self._levels.of(total))
            right = {subject: Count(max(0, total), max(place, count.as_of), level)}
            await self._store.put_counts(right, repaired=True)
            await self._teller.tell([(memory.partition, right)])
            await self._store.put_counted(list(_right(subject, place, level, found)), repaired=True)
            memory.forget(subject)
        drift = len(found.wrong) + bool(found.surplus)
        metrics.DRIFT.labels(subject.kind.name.lower()).inc(drift)
        where = {"subject_id": subject.subject_id.hex(), "kind": subject.kind.name}
        log.error(
            "count_drifted", **where, surplus=found.surplus, members=len(found.wrong), repaired=right[subject].count
        )
        return True


def _right(subject: Subject, place: int, level: int, found: Look) -> list[Counted]:
    """The rows as they should be, at every level: which one would be believed, with the same place, nobody should have to know."""
    return [
        Counted(subject, member, one, Row(true, max(row.version, row.at), max(place, row.counted_at)))
        for member, (row, true) in found.wrong.items()
        for one in range(level + 1)
    ]
