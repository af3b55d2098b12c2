"""Tells Redis and whoever watches that counts have changed. Neither holds up counting: what Redis missed is owed to it."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping

from aviary.engage.v1.events_pb2 import CountsChanged

from runtime.bus import Bus
from runtime.errors import Unavailable
from runtime.telemetry import logger
from svc_engage import metrics
from svc_engage.cache import CountCache
from svc_engage.domain.marks import LikeState, MarkKind
from svc_engage.domain.relations import Count, Subject

_OWED = 200_000
"""Counts that are remembered for a Redis that is away, some 40 MB; beyond it the oldest are left to their end in Redis, 10 min."""
_AT_ONCE = 2_000
_AGAIN_S = 1.0
_PATIENCE_S = 0.5

log = logger(__name__)


class Teller:
    """What changed, for Redis and for watchers. One object for each process; `run` is a background task of it."""

    def __init__(self, cache: CountCache, bus: Bus) -> None:
        self._cache = cache
        self._bus = bus
        self._owed: OrderedDict[Subject, Count] = OrderedDict()

    async def tell(self, partition: int, counts: Mapping[Subject, Count]) -> None:
        """Tell of counts that are stored. Never fails; waits half a second at most."""
        if self._owed:
            # Redis was away a moment ago: `run` asks it, the work goes on.
            self._owe(counts)
        else:
            await self._put(counts)
        ids = list(dict.fromkeys(subject.subject_id for subject in counts))
        try:
            await self._bus.signal(CountsChanged(partition=partition.to_bytes(2), subject_ids=ids))
        except Unavailable as error:
            # Watchers see the next change.
            log.warning("counts_not_announced", partition=partition, error=repr(error))

    async def listed(self, like: LikeState, delta: int) -> None:
        """Tell of a like whose rows the owner wrote. Never fails."""
        await self._cache.set_mark(like.user_id, MarkKind.LIKE, like.tweet_id, like.mark(delta))

    async def run(self) -> None:
        """Give Redis what it is owed, once a second, until cancelled."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            while self._owed:
                some = {subject: self._owed[subject] for subject in list(self._owed)[:_AT_ONCE]}
                for subject in some:
                    del self._owed[subject]
                if not await self._put(some):
                    break

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
                await self._cache.put(counts)
        except (Unavailable, TimeoutError) as error:
            self._owe(counts)
            log.warning("counts_owed_to_redis", counts=len(self._owed), error=repr(error))
            return False
        metrics.OWED.set(len(self._owed))
        return True

    def _owe(self, counts: Mapping[Subject, Count]) -> None:
        for subject, count in counts.items():
            known = self._owed.pop(subject, None)
            self._owed[subject] = count if known is None or count.as_of >= known.as_of else known
        while len(self._owed) > _OWED:
            self._owed.popitem(last=False)
        metrics.OWED.set(len(self._owed))
