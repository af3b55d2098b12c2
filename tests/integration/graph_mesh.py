"""Two processes' worth of svc_graph on the real servers within the test, and what lies in the tables; real processes are elsewhere."""

import asyncio
import dataclasses
import inspect
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aviary.graph.v1.events_pb2 import BlockSet, FollowerSet, FollowSet, ReaderSignal, RelationSignal
from aviary.graph.v1.graph_pb2 import BlockRequest, FollowRequest, UnblockRequest, UnfollowRequest
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub, add_GraphServiceServicer_to_server
from aviary.user.v1.user_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server

from accounts import Accounts
from cql_client import Cql
from cursors import Cursors, parse_keys
from in_process import InProcessChannel
from outbox import CqlOutboxTable, Outbox
from readers.recent import RecentWrites
from redis_client import connect_redis
from runtime.bus import Consumers, NatsBus, consumes
from runtime.callers import CallerSigner
from runtime.config import MeshConfig
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.faults import NO_FAULTS
from runtime.guard import Guard
from runtime.ids import SystemClock, Uuid7Ids
from signals.publisher import Publisher
from svc_graph.accounts import KnownAccounts
from svc_graph.activity import Activity, ActivityLimits
from svc_graph.days import CqlReaderDays
from svc_graph.deps import Deps, Readers
from svc_graph.levels_cql import CqlLevels, LevelLimits
from svc_graph.limits import FollowLimits, StanceLimits
from svc_graph.servicer import GraphServicer
from svc_graph.store import SCHEMA
from svc_graph.store_cql import CqlGraphStore
from svc_graph.turns import Turns
from tests.unit.svc_graph.graph import FewUsers


@dataclass
class GraphProcess:
    """One process of svc_graph, called through the edge."""

    stub: Any
    deps: Deps
    cql: Cql
    bus: NatsBus
    recent: RecentWrites

    async def follow(self, who: uuid.UUID, whom: uuid.UUID) -> None:
        """Follow as a user."""
        with acting(Caller(user_id=who.bytes, scopes=ALL_SCOPES)):
            await self.stub.Follow(FollowRequest(followee_id=str(whom)))

    async def block(self, who: uuid.UUID, whom: uuid.UUID) -> None:
        """Block as a user."""
        with acting(Caller(user_id=who.bytes, scopes=ALL_SCOPES)):
            await self.stub.Block(BlockRequest(user_id=str(whom)))

    async def unblock(self, who: uuid.UUID, whom: uuid.UUID) -> None:
        """Unblock as a user."""
        with acting(Caller(user_id=who.bytes, scopes=ALL_SCOPES)):
            await self.stub.Unblock(UnblockRequest(user_id=str(whom)))

    async def unfollow(self, who: uuid.UUID, whom: uuid.UUID) -> None:
        """Unfollow as a user."""
        with acting(Caller(user_id=who.bytes, scopes=ALL_SCOPES)):
            await self.stub.Unfollow(UnfollowRequest(followee_id=str(whom)))


class Everybody(FewUsers):
    """Knows the accounts that it made."""

    def __init__(self) -> None:
        super().__init__()
        self._ids = Uuid7Ids(SystemClock())

    def account(self) -> uuid.UUID:
        """A new account."""
        user_id = self._ids.next()
        self.known.add(user_id.bytes)
        return user_id


@asynccontextmanager
async def graph_process(
    config: MeshConfig,
    users: FewUsers,
    follow_limit: int = 5000,
    activity: ActivityLimits = ActivityLimits(),  # noqa: B008
) -> AsyncIterator[GraphProcess]:
    """A process of svc_graph with connections, turns and caches of its own."""
    clock, config = SystemClock(), dataclasses.replace(config, area="graph")
    cql = await Cql.connect(config, SCHEMA)
    bus = await NatsBus.connect(config)
    redis = connect_redis(config)
    try:
        await bus.declare([FollowSet, FollowerSet, BlockSet])
        outbox = Outbox(CqlOutboxTable(cql, clock), bus, clock, NO_FAULTS)
        guard = Guard(CallerSigner(config.mesh_key, "edge", clock))
        user_channel, channel = InProcessChannel(guard, service="graph"), InProcessChannel(guard, service="edge")
        user_channel.register(add_UserServiceServicer_to_server, users)
        recent = RecentWrites(redis, config.namespace)
        store = CqlGraphStore(cql, outbox, CqlLevels(cql, LevelLimits()))
        days = CqlReaderDays(cql, clock, activity.kept_days)
        returns = Publisher(bus, ReaderSignal, Uuid7Ids(clock).next().bytes)
        deps = Deps(
            store=store,
            outbox=outbox,
            recent=recent,
            signals=Publisher(bus, RelationSignal, Uuid7Ids(clock).next().bytes),
            accounts=KnownAccounts(Accounts(UserServiceStub(user_channel), time.monotonic, 1000, profiles=False)),
            limits=FollowLimits(store, follow_limit),
            stance_limits=StanceLimits(store),
            turns=Turns(),
            cursors=Cursors(parse_keys("1:" + "22" * 32), clock),
            readers=Readers(days, Activity(days, clock, activity), returns),
            clock=clock,
            faults=NO_FAULTS,
        )
        channel.register(add_GraphServiceServicer_to_server, GraphServicer(deps))
        yield GraphProcess(GraphServiceStub(channel), deps, cql, bus, recent)
    finally:
        await redis.aclose()
        await bus.close()
        await cql.close()


@dataclass
class Seen:
    """Every FollowSet that a durable consumer was given."""

    events: list[FollowSet]

    def of(self, *follower_ids: uuid.UUID) -> list[FollowSet]:
        """Those of the followers, in the order of their versions."""
        wanted = {follower_id.bytes for follower_id in follower_ids}
        return sorted((e for e in self.events if e.follower_id in wanted), key=lambda e: e.version)


def seen_by(bus: NatsBus, durable: str) -> tuple[Seen, Consumers]:
    """A consumer that collects; run it in a task."""
    seen = Seen([])

    @consumes(FollowSet, durable=durable)
    async def collect(event: FollowSet, deps: Seen) -> None:
        deps.events.append(event)

    return seen, Consumers(bus, [collect], seen)


@dataclass(frozen=True)
class Tables:
    """What the four tables say of one pair: (following, version) of the truth, and the follow_ids in the others."""

    edge: tuple[bool, int]
    mirror: list[uuid.UUID]
    following_by_time: list[uuid.UUID]
    followers_by_time: list[uuid.UUID]


async def tables(cql: Cql, follower: uuid.UUID, followee: uuid.UUID) -> Tables:
    """Read the rows themselves."""
    read = cql.prepare
    edge = await cql.execute(
        read("SELECT following, version FROM follow_edges WHERE follower_id = ? AND followee_id = ?"),
        (follower, followee),
    )
    mirror = await cql.execute(
        read("SELECT follow_id FROM followers WHERE followee_id = ? AND level = 0 AND bucket = 0 AND follower_id = ?"),
        (followee, follower),
    )
    following = await cql.execute(
        read("SELECT follow_id, followee_id FROM following_by_time WHERE follower_id = ?"), (follower,)
    )
    followers = await cql.execute(
        read("SELECT follow_id, follower_id FROM followers_by_time WHERE followee_id = ?"), (followee,)
    )
    return Tables(
        edge=edge[0],
        mirror=[row[0] for row in mirror],
        following_by_time=[row[0] for row in following if row[1] == followee],
        followers_by_time=[row[0] for row in followers if row[1] == follower],
    )


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for a condition that nobody announces; the bound only ends a test that fails."""
    async with asyncio.timeout(90):
        while True:
            holds = condition()
            if inspect.isawaitable(holds):
                holds = await holds
            if holds:
                return
            await asyncio.sleep(0.02)
