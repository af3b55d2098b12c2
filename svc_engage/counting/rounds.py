"""When partitions are counted: all that are due, of all logs that a process owns, in one batch. What is written, flush.py says."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from runtime.bus.consumers import backoff_s
from runtime.errors import Unavailable
from runtime.faults import Faults
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_engage import metrics
from svc_engage.counting.changes import occurred_ms
from svc_engage.counting.flush import Flush, Work
from svc_engage.counting.known import KnownRows
from svc_engage.counting.memory import Memory
from svc_engage.counting.telling import Teller
from svc_engage.domain.levels import Levels
from svc_engage.store import EngageStore

EVERY_S = 1.0
"""Between the beginnings of two batches of a partition."""
TICK_S = 0.25
"""Between the beginnings of two rounds."""
GATHER_S = 0.05
"""So long the first change after a quiet second waits: for others, and for the request that it is of to write its rows."""
_AT_ONCE = 16
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 2.0

log = logger(__name__)


class Rounds:
    """The rounds of one process. They go on while anything is to be counted, or a position to be stored.

    A round takes every partition that is due and in no other round. Those whose last batch failed are tried each for itself,
    so that one that cannot be stored holds up no other.
    """

    def __init__(
        self,
        store: EngageStore,
        teller: Teller,
        clock: Clock,
        levels: Levels | None = None,
        faults: Faults | None = None,
        known: KnownRows | None = None,
    ) -> None:
        """`known` is what the requests of this process tell of the rows that they wrote."""
        self.known = known or KnownRows()
        self._flush = Flush(store, teller, levels or Levels(), faults or Faults())
        self._teller = teller
        self._clock = clock
        self._busy: dict[Memory, None] = {}
        self._rounds: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._began_at = float("-inf")

    def wake(self, memory: Memory) -> None:
        """Something of a partition was queued."""
        if not memory.busy:
            return
        if memory not in self._busy:
            self._busy[memory] = None
            memory.due_at = max(memory.due_at, asyncio.get_running_loop().time() + GATHER_S)
            self._woken.set()
        elif memory.much:
            self._woken.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def forget(self, memory: Memory) -> None:
        """Count a partition no more. Returns when its batch, if one is under way, is over."""
        self._busy.pop(memory, None)
        async with memory.turn:
            self._busy.pop(memory, None)

    async def drain(self) -> None:
        """Returns when all that was queued is stored."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Stop in the middle."""
        tasks = [*self._rounds, *filter(None, [self._task])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._busy or self._rounds:
                self._woken.clear()
                wait_s = self._begin()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            self._task = None

    def _begin(self) -> float | None:
        """Begin a round if one is due; in how many seconds to look again, None: when woken."""
        now = asyncio.get_running_loop().time()
        waiting = [memory for memory in self._busy if not memory.in_round]
        due = [memory for memory in waiting if memory.due_at <= now or memory.much]
        if due and now >= self._began_at + TICK_S:
            # A recount holds the turn for a moment: nobody waits for it.
            free = [memory for memory in due if not memory.turn.locked()]
            self._began_at = now
            self._start([memory for memory in free if not memory.failures])
            for memory in free:
                if memory.failures and len(self._rounds) < _AT_ONCE:
                    self._start([memory])
            waiting = [memory for memory in waiting if not memory.in_round]
        if not waiting:
            return None
        soonest = min(now if memory.much else memory.due_at for memory in waiting)
        return max(soonest - now, self._began_at + TICK_S - now, 0)

    def _start(self, memories: Sequence[Memory]) -> None:
        if not memories:
            return
        for memory in memories:
            memory.in_round = True
        task = asyncio.create_task(self._round(memories))
        self._rounds.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._rounds.discard(task)
        self._woken.set()

    async def _round(self, memories: Sequence[Memory]) -> None:
        try:
            async with AsyncExitStack() as turns:
                for memory in memories:
                    await turns.enter_async_context(memory.turn)
                # One that was given up meanwhile has an empty queue, and its end is behind what nobody counted.
                if kept := [memory for memory in memories if memory in self._busy]:
                    await self._count(kept)
        except Exception as error:
            # A missing dependency, or a mistake of ours: nothing may be passed over, so the partitions wait, loudly.
            metrics.FLUSHES.labels("failed").inc()
            self._failed(memories, error)
        finally:
            for memory in memories:
                memory.in_round = False
                if not memory.busy:
                    self._busy.pop(memory, None)

    async def _count(self, memories: Sequence[Memory]) -> None:
        now = asyncio.get_running_loop().time()
        works = [Work(memory, list(memory.queue), memory.until) for memory in memories]
        for memory in memories:
            memory.due_at = now + EVERY_S
        await self._flush.store(works)
        for work in works:
            self._counted(work)
        metrics.FLUSHES.labels("done").inc()
        await self._flush.store_positions([work for work in works if not self._teller.owes(work.memory.partition)])
        for memory in memories:
            memory.failures = 0

    def _counted(self, work: Work) -> None:
        memory, wrong = work.memory, work.sums.wrong
        memory.done(len(work.told), work.until, work.sums)
        if work.told:
            metrics.LAG.observe(max(0, self._clock.now_ms() - occurred_ms(work.told[0].item.event)) / 1000)
        if wrong:
            for subject in wrong:
                metrics.WRONG.labels(subject.kind.name.lower()).inc()
            where = {"durable": memory.log.durable, "partition": memory.partition}
            log.error("count_contradicts_rows", **where, subjects=len(wrong))
            memory.distrust(list(wrong))

    def _failed(self, memories: Sequence[Memory], error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        for memory in memories:
            memory.failures += 1
            memory.due_at = now + min(backoff_s(_FIRST_PAUSE_S, memory.failures), _LONGEST_PAUSE_S)
        say = log.warning if isinstance(error, Unavailable) else log.exception
        names = sorted(f"{memory.log.durable}/{memory.partition}" for memory in memories[:10])
        say("partitions_not_counted", partitions=len(memories), some=names, error=repr(error))
