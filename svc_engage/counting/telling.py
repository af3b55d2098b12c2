"""Tells Redis and whoever watches that counts have changed. Neither holds up counting: what Redis missed is owed to it."""

import asyncio
import itertools
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence

from aviary.engage.v1.events_pb2 import CountsChanged

from runtime.bus import Bus
from runtime.errors import Unavailable
from runtime.telemetry import logger
from svc_engage import metrics
from svc_engage.cache import CountCache
from svc_engage.domain.relations import NOTHING, Count, Subject

_OWED = 200_000
"""Counts that are remembered for a Redis that is away, some 40 MB; beyond it the oldest are left to their end in Redis, 10 min."""
_AT_ONCE = 2_000
_AGAIN_S = 1.0
_PATIENCE_S = 0.5

log = logger(__name__)


class Teller:
    """What changed, for Redis and for watchers. One object for each process; `run` is a background task of it."""

    def __init__(self, cache: CountCache, bus: Bus) -> None:
        self.cache = cache
        self._bus = bus
        self._owed: OrderedDict[Subject, tuple[int, Count]] = OrderedDict()
        self._partitions: Counter[int] = Counter()

    async def tell(self, counted: Sequence[tuple[int, Mapping[Subject, Count]]]) -> None:
        """Tell of counts that are stored, by partition. Never fails; waits half a second at most."""
        # Redis was away a moment ago: `run` asks it, the work goes on.
        if self._owed or not await self._put({s: count for _, counts in counted for s, count in counts.items()}):
            for partition, counts in counted:
                self._owe(partition, counts)
        await asyncio.gather(*(self._signal(partition, counts) for partition, counts in counted))

    async def run(self) -> None:
        """Give Redis what it is owed, once a second, until cancelled."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            while self._owed:
                some = dict(itertools.islice(self._owed.items(), _AT_ONCE))
                if not await self._put({subject: count for subject, (_, count) in some.items()}):
                    break
                for subject, owed in some.items():
                    # Meanwhile it may have changed again.
                    if self._owed.get(subject) is owed:
                        self._pop(subject)
                metrics.OWED.set(len(self._owed))

    def owes(self, partition: int) -> bool:
        """Whether Redis is owed a count of the partition: then what it was counted from is to be read again after a crash."""
        return self._partitions[partition] > 0

    @property
    def owing(self) -> Collection[Subject]:
        """Whose counts Redis does not know yet: they are lost to it until the next change when this process dies."""
        return self._owed.keys()

    @property
    def owed(self) -> int:
        """Of how many counts Redis does not know yet."""
        return len(self._owed)

    async def _put(self, counts: Mapping[Subject, Count]) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self.cache.put(counts)
        except (Unavailable, TimeoutError) as error:
            log.warning("counts_owed_to_redis", counts=len(self._owed), error=repr(error))
            return False
        return True

    async def _signal(self, partition: int, counts: Mapping[Subject, Count]) -> None:
        ids = list(dict.fromkeys(subject.subject_id for subject in counts))
        try:
            await self._bus.signal(CountsChanged(partition=partition.to_bytes(2), subject_ids=ids))
        except Unavailable as error:
            # Watchers see the next change.
            log.warning("counts_not_announced", partition=partition, error=repr(error))

    def _owe(self, partition: int, counts: Mapping[Subject, Count]) -> None:
        for subject, count in counts.items():
            _, known = self._pop(subject)
            self._owed[subject] = partition, count if count.as_of >= known.as_of else known
            self._partitions[partition] += 1
        while len(self._owed) > _OWED:
            self._pop(next(iter(self._owed)))
        metrics.OWED.set(len(self._owed))

    def _pop(self, subject: Subject) -> tuple[int, Count]:
        partition, count = self._owed.pop(subject, (-1, NOTHING))
        if count is not NOTHING:
            self._partitions[partition] -= 1
        return partition, count
