"""The counting machine of one log: takes its slices, and counts each partition at most once a second. The sums are sums.py."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from google.protobuf.message import Message

from ordered import Slice
from runtime.bus.consumers import backoff_s
from runtime.errors import Unavailable
from runtime.faults import Faults
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_engage import metrics
from svc_engage.counting.changes import Log, occurred_ms
from svc_engage.counting.flush import Flush
from svc_engage.counting.memory import Memory, Told
from svc_engage.counting.telling import Teller
from svc_engage.domain.levels import Levels
from svc_engage.domain.relations import Subject
from svc_engage.store import EngageStore

EVERY_S = 1.0
"""Between the beginnings of two batches of a partition."""
MUCH = 5_000
"""So many changes of a partition are not waited with, and hold up its reading."""
_AT_ONCE = 16
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 2.0

log = logger(__name__)


class Machine:
    """Keeps the promises of `ordered.Ordered`: counts are equal to the rows, and never negative, whoever dies or works beside it.

    A slice is handled once it is queued; it is read again until it is counted and the position stored.
    """

    def __init__(
        self,
        counted: Log,
        store: EngageStore,
        teller: Teller,
        clock: Clock,
        *,
        levels: Levels | None = None,
        faults: Faults | None = None,
        recount: Callable[[int, Sequence[Subject] | None], None] = lambda _partition, _subjects: None,
    ) -> None:
        """`recount` is told of subjects that are not to be trusted, None for all of a partition."""
        self.durable: str = counted.durable
        self.messages: Sequence[type[Message]] = counted.messages
        self.kinds = counted.kinds
        self.recount = recount
        self._log = counted
        self._store = store
        self._clock = clock
        self._teller = teller
        self._flush = Flush(counted, store, teller, levels or Levels(), faults or Faults())
        self._memories: dict[int, Memory] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def load(self, partition: int) -> int:
        """See Ordered. What was queued before is forgotten: it comes again."""
        await self._forget(partition)
        position = await self._store.position(self.durable, partition)
        self._memories[partition] = Memory(partition, position, position, position)
        return position

    async def positions(self) -> Mapping[int, int]:
        """How far each partition is counted, whoever owns it. Raises Unavailable."""
        return await self._store.positions(self.durable)

    async def handle(self, piece: Slice) -> None:
        """See Ordered. Returns when the slice is queued, and the queue is not too long."""
        told = [Told(self._log.change_of(item), item) for item in piece.items]
        memory = self._memories.setdefault(piece.partition, Memory(piece.partition, 0, 0, 0))
        if piece.lost:
            self._lost(memory)
        memory.add(told, piece.until)
        self._work_on(memory)
        while len(memory.queue) > MUCH:
            memory.full.set()
            memory.less.clear()
            await memory.less.wait()

    def memory(self, partition: int) -> Memory | None:
        """What is remembered of a partition, if this process ever owned it since it began."""
        return self._memories.get(partition)

    async def drain(self) -> None:
        """Returns when all that was queued is stored."""
        while workers := [w for m in self._memories.values() if (w := m.worker) is not None and not w.done()]:
            await asyncio.wait(workers)

    async def close(self) -> None:
        """Stop; what is not stored is read again by the next owner."""
        for partition in list(self._memories):
            await self._forget(partition)

    async def _forget(self, partition: int) -> None:
        memory = self._memories.pop(partition, None)
        if memory is None:
            return
        memory.queue.clear()
        memory.less.set()
        if memory.worker is not None:
            memory.worker.cancel()
            await asyncio.gather(memory.worker, return_exceptions=True)

    def _lost(self, memory: Memory) -> None:
        metrics.LOST.labels(self.durable).inc()
        log.error("events_lost_uncounted", durable=self.durable, partition=memory.partition)
        self.recount(memory.partition, None)

    def _work_on(self, memory: Memory) -> None:
        if memory.worker is None and memory.busy:
            memory.worker = asyncio.create_task(self._work_off(memory))

    async def _work_off(self, memory: Memory) -> None:
        """Count what is queued, at most once a second, until nothing is left and the position is stored."""
        failures = 0
        try:
            while memory.busy:
                await self._until_due(memory)
                try:
                    async with self._places, memory.turn:
                        await self._count(memory)
                    failures = 0
                except Exception as error:
                    # A missing dependency, or a mistake of ours: nothing may be passed over, so the partition waits, loudly.
                    metrics.FLUSHES.labels("failed").inc()
                    failures += 1
                    pause_s = min(backoff_s(_FIRST_PAUSE_S, failures), _LONGEST_PAUSE_S)
                    say = log.warning if isinstance(error, Unavailable) else log.exception
                    say("partition_not_counted", durable=self.durable, partition=memory.partition, error=repr(error))
                    await asyncio.sleep(pause_s)
        finally:
            memory.worker = None

    async def _until_due(self, memory: Memory) -> None:
        wait_s = memory.flushed_at + EVERY_S - asyncio.get_running_loop().time()
        if wait_s > 0 and len(memory.queue) <= MUCH:
            memory.full.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await memory.full.wait()
            except TimeoutError:
                return

    async def _count(self, memory: Memory) -> None:
        memory.flushed_at = asyncio.get_running_loop().time()
        told, until = list(memory.queue), memory.until
        sums = await self._flush.store(memory, told, until)
        memory.done(len(told), until, sums.counts)
        metrics.FLUSHES.labels("done").inc()
        if told:
            metrics.LAG.observe(max(0, self._clock.now_ms() - occurred_ms(told[0].item.event)) / 1000)
        if sums.wrong:
            for subject in sums.wrong:
                metrics.WRONG.labels(subject.kind.name.lower()).inc()
            log.error(
                "count_contradicts_rows", durable=self.durable, partition=memory.partition, subjects=len(sums.wrong)
            )
            self.recount(memory.partition, list(sums.wrong))
        if not self._teller.owes(memory.partition):
            await self._flush.store_position(memory.partition, until)
            memory.position = until
