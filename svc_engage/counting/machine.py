"""The counting machine of one log: takes its slices and queues them. When what is queued is counted, rounds.py says."""

from collections.abc import Callable, Mapping, Sequence

from google.protobuf.message import Message

from ordered import Slice
from runtime.telemetry import logger
from svc_engage import metrics
from svc_engage.counting.changes import Log
from svc_engage.counting.memory import MUCH, Memory, Told
from svc_engage.counting.rounds import Rounds
from svc_engage.domain.relations import Subject
from svc_engage.store import EngageStore

log = logger(__name__)


class Machine:
    """Keeps the promises of `ordered.Ordered`: counts are equal to the rows, and never negative, whoever dies or works beside it.

    A slice is handled once it is queued; it is read again until it is counted and the position stored.
    """

    def __init__(
        self,
        counted: Log,
        store: EngageStore,
        rounds: Rounds,
        recount: Callable[[int, Sequence[Subject] | None], None] = lambda _partition, _subjects: None,
    ) -> None:
        """`rounds` are those of the process. `recount` is told of subjects that are not to be trusted, None for all of a partition."""
        self.durable: str = counted.durable
        self.messages: Sequence[type[Message]] = counted.messages
        self.kinds = counted.kinds
        self.recount = recount
        self._log = counted
        self._store = store
        self._rounds = rounds
        self._memories: dict[int, Memory] = {}

    async def load(self, partition: int) -> int:
        """See Ordered. What was queued before is forgotten: it comes again."""
        await self._forget(partition)
        position = await self._store.position(self.durable, partition)
        self._memories[partition] = self._begun(partition, position)
        return position

    async def positions(self) -> Mapping[int, int]:
        """How far each partition is counted, whoever owns it. Raises Unavailable."""
        return await self._store.positions(self.durable)

    async def handle(self, piece: Slice) -> None:
        """See Ordered. Returns when the slice is queued, and the queue is not too long."""
        told = [Told(self._log.change_of(item), item) for item in piece.items]
        memory = self._memories.setdefault(piece.partition, self._begun(piece.partition, 0))
        if piece.lost:
            metrics.LOST.labels(self.durable).inc()
            log.error("events_lost_uncounted", durable=self.durable, partition=piece.partition)
            memory.distrust(None)
        memory.add(told, piece.until)
        self._rounds.wake(memory)
        while len(memory.queue) > MUCH:
            memory.less.clear()
            await memory.less.wait()

    def memory(self, partition: int) -> Memory | None:
        """What is remembered of a partition, if this process ever owned it since it began."""
        return self._memories.get(partition)

    async def close(self) -> None:
        """Stop; what is not stored is read again by the next owner."""
        for partition in list(self._memories):
            await self._forget(partition)

    def _begun(self, partition: int, position: int) -> Memory:
        return Memory(
            self._log, partition, position, lambda subjects: self.recount(partition, subjects), self._rounds.known
        )

    async def _forget(self, partition: int) -> None:
        """Returns when nothing of the partition is being written here."""
        memory = self._memories.pop(partition, None)
        if memory is not None:
            memory.queue.clear()
            memory.less.set()
            await self._rounds.forget(memory)
