"""A process that counts, for tests which kill and freeze it at its fault points: `counting_process.py TTL_S`."""

import asyncio
import os
import sys

from aviary.engage.v1.events_pb2 import LikeSet
from aviary.graph.v1.events_pb2 import FollowerSet, FollowSet
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted

from cql_client import Cql
from ordered.nats import NatsSource
from redis_client.line import Line
from runtime.bus import NatsBus
from runtime.config import Env, MeshConfig
from runtime.faults import Faults
from runtime.ids import SystemClock
from svc_engage.cache.redis import RedisCountCache
from svc_engage.counting import Log, Machine, Rounds, Teller
from svc_engage.counting.known import KnownRows
from svc_engage.domain.levels import Levels
from svc_engage.store_cql import SCHEMA, CqlEngageStore
from svc_engage.workers import Counting

LEVELS = Levels((20, 60))
FACTS = [LikeSet, FollowSet, FollowerSet, TweetCreated, TweetDeleted]


class Process:
    """Everything that counts, on real servers."""

    def __init__(self, config: MeshConfig, cql: Cql, bus: NatsBus, ttl_s: float) -> None:
        self.clock, self.config, self._ttl_s = SystemClock(), config, ttl_s
        self.cql, self.bus, self.line = cql, bus, Line(config.redis_url)
        self.store = CqlEngageStore(cql, self.clock)
        self.cache, self.known = RedisCountCache(self.line, config.namespace), KnownRows()

    def counting(self) -> Counting:
        """The work, to be run once."""
        faults = Faults(self.config.fault_dir)
        source = NatsSource(self.bus, self._ttl_s)
        return Counting(
            self.store, self.cache, self.bus, source, self.clock, levels=LEVELS, faults=faults, known=self.known
        )

    def machine(self, log: Log) -> Machine:
        """One that nobody has told what it owns."""
        return Machine(log, self.store, Rounds(self.store, Teller(self.cache, self.bus), self.clock, LEVELS))

    @classmethod
    async def connect(cls, config: MeshConfig, ttl_s: float) -> "Process":
        """Wait for the servers."""
        cql = await Cql.connect(config, SCHEMA)
        bus = await NatsBus.connect(config)
        await bus.declare(FACTS)
        return cls(config, cql, bus, ttl_s)

    async def close(self) -> None:
        """Let go of the servers."""
        await self.cache.close()
        await self.line.aclose()
        await self.bus.close()
        await self.cql.close()


async def main() -> None:
    """Run until killed, with the environment of a process called engage."""
    config = MeshConfig.read("engage", Env(os.environ))
    process = await Process.connect(config, float(sys.argv[1]))
    await process.counting().run()


if __name__ == "__main__":
    asyncio.run(main())
