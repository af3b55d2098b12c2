"""What svc_engage does beside its rpcs: it counts the logs of likes, follows and tweets. Counting again is counting/recount.py."""

import asyncio

from ordered import OrderedConsumer
from ordered.port import Source
from runtime.bus import Bus
from runtime.faults import Faults
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_engage.cache import CountCache
from svc_engage.counting import Machine, Rounds, Teller
from svc_engage.counting.changes import LOGS
from svc_engage.counting.known import KnownRows
from svc_engage.domain.levels import Levels
from svc_engage.store import EngageStore

_FINISH_S = 3.0

log = logger(__name__)


class Counting:
    """The counting of one process: `run` is a background task of it, `check` a probe."""

    def __init__(
        self,
        store: EngageStore,
        cache: CountCache,
        bus: Bus,
        source: Source,
        clock: Clock,
        *,
        levels: Levels,
        faults: Faults,
        known: KnownRows,
    ) -> None:
        """`source` says which partitions this process owns, `known` which rows its requests wrote."""
        self.teller = Teller(cache, bus)
        self.rounds = Rounds(store, self.teller, clock, levels, faults, known)
        self.machines = [Machine(one, store, self.rounds) for one in LOGS]
        self.consumers = [OrderedConsumer(bus, source, machine) for machine in self.machines]

    async def run(self) -> None:
        """Count until cancelled; what is queued then is stored, or else read again by whoever counts next."""
        try:
            async with asyncio.TaskGroup() as group:
                for consumer in self.consumers:
                    group.create_task(consumer.run())
                group.create_task(self.teller.run())
        finally:
            await self._finish()

    async def lag_ms(self, durable: str) -> int:
        """The age of the oldest event that is not counted, 0 when there is none. Raises Unavailable."""
        [consumer] = [c for c, m in zip(self.consumers, self.machines, strict=True) if m.durable == durable]
        return max(state.oldest_age_ms for state in await consumer.backlog())

    async def check(self) -> None:
        """Raises Unavailable while a log is not read."""
        for consumer in self.consumers:
            await consumer.check()

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(_FINISH_S):
                await self.rounds.drain()
        except TimeoutError:
            log.warning("left_uncounted")
        await self.rounds.close()
        for machine in self.machines:
            await machine.close()
