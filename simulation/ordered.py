"""Ordered work over a bus in memory: who runs first owns all partitions until it is cancelled. Leases are the real one's, in ordered/."""

import asyncio
from collections import Counter, defaultdict, deque

from ordered.port import Hand, Ordered, Ownership, Piece
from runtime.bus.envelope import headers_of, stream_name
from runtime.bus.port import Answer, ConsumerState, Delivery, Subscription
from runtime.contract import event
from runtime.telemetry import logger
from simulation.bus import MemoryBus

_IDLE_S = 0.005

log = logger(__name__)


class MemorySource:
    """Keeps the promises of `Source`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._epochs: Counter[str] = Counter()

    def partitions(self, work: Ordered, hand: Hand) -> Ownership:
        """Own every partition while it runs; who runs beside it waits."""

        async def run() -> None:
            async with self._locks[work.durable]:
                self._epochs[work.durable] += 1
                await _Owner(self._bus, work, hand, self._epochs[work.durable]).run()

        return Ownership(Subscription(run), lambda: self._backlog(work))

    async def _backlog(self, work: Ordered) -> ConsumerState:
        positions = await work.positions()
        kept = self._bus.kept[stream_name(event(work.messages[0]))]
        left = [n for n, e in enumerate(kept, 1) if n > positions.get(int(e.subject[-3:]), 0)]
        return ConsumerState(work.durable, len(left), 0, sum(d == work.durable for d, _, _ in self._bus.dead))


class _Owner:
    """Reads all partitions of one durable."""

    def __init__(self, bus: MemoryBus, work: Ordered, hand: Hand, epoch: int) -> None:
        self._bus = bus
        self._work = work
        self._hand = hand
        self._epoch = epoch
        self._stream = stream_name(event(work.messages[0]))
        self._read = 0
        self._queues: dict[int, deque[Delivery]] = defaultdict(deque)
        self._at: dict[int, int] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Hand over what comes until cancelled; what is in hand is finished."""
        try:
            while True:
                self._sort_in()
                for partition, queue in self._queues.items():
                    if queue and (partition not in self._tasks or self._tasks[partition].done()):
                        self._tasks[partition] = asyncio.create_task(self._through(partition, queue))
                await asyncio.sleep(_IDLE_S)
        finally:
            for queue in self._queues.values():
                queue.clear()
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=1)
            for task in self._tasks.values():
                task.cancel()

    def _sort_in(self) -> None:
        kept = self._bus.kept[self._stream]
        while self._read < len(kept):
            envelope = kept[self._read]
            self._read += 1
            headers, place = headers_of(envelope, self._bus.producer), self._read
            delivery = Delivery(envelope.payload, headers, envelope.subject, str(place), _unheard, place)
            self._queues[int(envelope.subject[-3:])].append(delivery)

    async def _through(self, partition: int, queue: deque[Delivery]) -> None:
        try:
            if partition not in self._at:
                self._at[partition] = await self._work.load(partition)
        except Exception as error:  # whatever keeps the position away: trying again is all there is
            log.warning("partition_not_read", partition=partition, error=repr(error))
            return
        found = [delivery for delivery in queue if delivery.place > self._at[partition]]
        queue.clear()
        if found:
            await self._hand(Piece(partition, self._epoch, found, found[-1].place))
            self._at[partition] = found[-1].place


async def _unheard(_what: Answer, _delay_s: float) -> None:
    """Nobody is told of single messages: what counts is the position that the handler stores."""
