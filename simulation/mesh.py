"""The services of the path, wired as their server.py wires them, over what the simulation has in place of servers."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from aviary.engage.v1 import engage_pb2
from aviary.graph.v1 import graph_pb2
from aviary.graph.v1.events_pb2 import BlockSet, FollowerSet, FollowSet, ReaderSignal, RelationSignal
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub, add_GraphServiceServicer_to_server
from aviary.mesh.v1.mesh_pb2_grpc import add_MeshServiceServicer_to_server
from aviary.timeline.v1 import timeline_pb2
from aviary.timeline.v1.events_pb2 import FanoutChunk, ReaderSeen
from aviary.timeline.v1.timeline_pb2_grpc import add_TimelineServiceServicer_to_server
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted, TweetStatusSignal
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub, add_TweetServiceServicer_to_server
from aviary.user.v1 import user_pb2
from aviary.user.v1.events_pb2 import AccountChanged, AccountSignal, UserRegistered
from aviary.user.v1.user_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server
from aviary.view.v1.view_pb2_grpc import add_ViewServiceServicer_to_server
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.descriptor import FileDescriptor

import accounts
from accounts import Accounts
from backlog import Backlog
from cursors import Cursors, parse_keys
from outbox import Outbox, OutboxRow
from readers.recent import DELETED_TWEET, FOLLOW, OWN_TWEET, OwnWrites
from runtime.bus import Consumers
from runtime.config import Secret
from signals.publisher import Publisher
from simulation.broker import Broker, BrokerBus
from simulation.bugs import Sound
from simulation.dice import Dice
from simulation.engagement import Engagement, Peers
from simulation.history import History
from simulation.loop import SimulatedLoop
from simulation.network import Network, Wire
from simulation.node import Node, SkewedClock
from simulation.outbox import MemoryOutboxTable
from simulation.presence import MemoryPresence
from simulation.servers import Announcing, Cache, Database, Disk, Remote, RemoteOwnWrites, RemoteTable
from svc_graph.accounts import KnownAccounts
from svc_graph.activity import Activity, ActivityLimits
from svc_graph.days_memory import MemoryReaderDays
from svc_graph.deps import Deps as GraphDeps
from svc_graph.deps import Readers
from svc_graph.limits import FollowLimits, StanceLimits
from svc_graph.noting import keep_reader_day
from svc_graph.servicer import GraphServicer
from svc_graph.store_memory import MemoryGraphStore
from svc_graph.turns import Turns
from svc_graph.workers import end_blocked_follows, end_void_follow
from svc_timeline.cache import HomeCache
from svc_timeline.config import Limits
from svc_timeline.deps import Deps as TimelineDeps
from svc_timeline.heads import Heads
from svc_timeline.rebuild import Rebuilds
from svc_timeline.seen import SeenReaders
from svc_timeline.servicer import TimelineServicer
from svc_timeline.signals import LiveSignals
from svc_timeline.states_memory import MemoryHomeStates
from svc_timeline.store_memory import MemoryHomeStore
from svc_timeline.workers import backfill_follow, deliver_chunk, plan_fanout
from svc_tweet.deps import Deps as TweetDeps
from svc_tweet.servicer import TweetServicer
from svc_tweet.store_memory import MemoryTweetStore
from svc_user.deps import Deps as UserDeps
from svc_user.emails import Emails
from svc_user.guess_counts import LocalCounts
from svc_user.guesses import Guesses
from svc_user.servicer import UserServicer
from svc_user.store_apps_memory import MemoryAppStore
from svc_user.store_memory import MemoryUserStore
from svc_user.store_sessions_memory import MemorySessionStore
from svc_user.tokens import TokenIssuer
from views.build import Channels, build_deps, listen
from views.servicer import ViewServicer

_PLACED = (OWN_TWEET, DELETED_TWEET, FOLLOW)
RELAY_AGES_S = (8, 12, 16)
_NEVER_S = 1e9
_SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
_EMAILS = Emails(Secret(b"e" * 32))
_CURSOR_KEYS = parse_keys("1:" + "ab" * 32)


class InstantPasswords:
    """Passwords without the hashing, which would take the machine's own time."""

    def ensure_good(self, password: str, field: str = "password") -> None:
        """All are."""

    @contextmanager
    def place(self) -> Iterator["InstantPasswords"]:
        """There is always one."""
        yield self

    async def hash(self, password: str) -> str:
        """The password itself."""
        return password

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether they are the same."""
        return stored == password


@dataclass(frozen=True)
class Area:
    """What one area keeps on the database."""

    store: Any
    disk: Disk


class _Both:
    """Records own writes in two memories that stand for one."""

    def __init__(self, mesh: "Mesh") -> None:
        self._mesh = mesh
        self._memories: Sequence[OwnWrites] = (mesh.windows, mesh.engagement.cache)

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> bool:
        """See OwnWrites."""
        if kind in _PLACED and bytes(8) in (value[16:24], value[17:25], value[25:33]):
            self._mesh.unplaced[user_id] = self._mesh.now()
        return all([await memory.record(user_id, kind, value) for memory in self._memories])


class Mesh:
    """Servers and everything that they keep; processes come and go."""

    def __init__(self, loop: SimulatedLoop, dice: Dice, history: History, bug: Sound, limits: Limits) -> None:
        self.database = Database("database", loop, dice, history)
        self.cache = Cache("cache", loop, dice, history)
        self.broker = Broker(loop, dice, history)
        self.network = Network(loop, dice)
        self.limits = limits
        self.bug = bug
        clock = SkewedClock(loop)
        tweets, graph, users, readers = (Disk(MemoryOutboxTable(clock)) for _ in range(4))
        self.tweets = Area(MemoryTweetStore(tweets.announce, clock), tweets)
        self.graph = Area(MemoryGraphStore(graph.announce), graph)
        accounts = MemoryUserStore(users.announce)
        self.users = Area(accounts, users)
        self.logins = MemorySessionStore(accounts)
        self.homes = MemoryHomeStore(clock, limits.stored_ttl_s)
        self.readers = Area(MemoryHomeStates(readers.announce, clock), readers)
        self.reader_days = MemoryReaderDays(clock, ActivityLimits().kept_days)
        self.windows = bug.windows(SkewedClock(loop, dice.between(-1000, 1000)), limits)
        self.presence = MemoryPresence()
        self.unrecorded: set[bytes] = set()
        """Tweets, accounts whose follows changed, and likes (user, tweet) of which the cache was not told: their owners may see
        them late."""
        self.unplaced: dict[bytes, float] = {}
        """Who made a write whose place in the log was not known when it was recorded, and when the last."""
        self.now = loop.time
        self.engagement = Engagement(loop, self.database, self.cache, self.broker, bug)

    async def build(self, node: Node) -> None:
        """Wire a process by its area."""
        builders = {
            "user": self._build_user,
            "graph": self._build_graph,
            "tweet": self._build_tweet,
            "timeline": self._build_timeline,
            "engage": self._build_engage,
            "edge": self._build_edge,
        }
        await builders[node.area](node)

    def wire(self, node: Node, area: str, contract: FileDescriptor) -> Wire:
        """A channel of the process to an area."""
        return Wire(self.network, area, node.signer, contract)

    async def unsent(self) -> int:
        """Announcements that are written and not published."""
        tables = [area.disk.table for area in (self.users, self.graph, self.tweets, self.readers)]
        return sum([(await table.count(0, 1 << 60))[0] for table in tables])

    def empty_cache(self) -> None:
        """The cache forgets everything."""
        self.windows.clear()
        self.engagement.cache.clear()

    def _recent(self) -> RemoteOwnWrites:
        """What users did lately: one list in the cache, which homes and counts read."""
        return RemoteOwnWrites(_Both(self), self.cache, self.unrecorded)

    def _outbox(self, node: Node, bus: BrokerBus, area: Area) -> tuple[Outbox[OutboxRow], Any]:
        table = self.bug.table(RemoteTable(area.disk.table, self.database))
        outbox: Outbox[OutboxRow] = Outbox(table, bus, node.clock, node.faults, RELAY_AGES_S)
        store = self.bug.store(Announcing(area.store, self.database, outbox, area.disk), bus)
        node.background("relay", outbox.relay)
        node.serve(add_MeshServiceServicer_to_server, Backlog([outbox], []))
        return outbox, store

    async def _build_user(self, node: Node) -> None:
        bus = BrokerBus(self.broker, node, "svc_user")
        await bus.declare([UserRegistered, AccountChanged])
        outbox, store = self._outbox(node, bus, self.users)
        passwords: Any = InstantPasswords()
        logins: Any = Remote(self.logins, self.database.reach)
        signals = Publisher(bus, AccountSignal, publisher_id=node.ids.next().bytes)
        deps = UserDeps(
            store=store,
            logins=logins,
            apps=MemoryAppStore(node.clock),
            outbox=outbox,
            recent=self._recent(),
            passwords=passwords,
            guesses=Guesses(LocalCounts(), logins, Secret(b"g" * 32), node.clock),
            emails=_EMAILS,
            tokens=TokenIssuer(_SIGNING_KEY, Secret(b"r" * 32), node.clock, 900),
            signals=signals,
            cursors=Cursors(_CURSOR_KEYS, node.clock),
            clock=node.clock,
            ids=node.ids,
            faults=node.faults,
            claim_abandoned_ms=20_000,
            renames_allowed=3,
        )
        node.serve(add_UserServiceServicer_to_server, UserServicer(deps))
        node.heart = node.background("account-heartbeat", signals.beat)

    async def _build_graph(self, node: Node) -> None:
        bus = BrokerBus(self.broker, node, "svc_graph")
        await bus.declare([FollowSet, FollowerSet, BlockSet])
        user = UserServiceStub(self.wire(node, "user", user_pb2.DESCRIPTOR))
        known = Accounts(user, node.loop.time, 1000, profiles=False)
        await accounts.listen(known, bus)
        signals = Publisher(bus, RelationSignal, publisher_id=node.ids.next().bytes)
        days: Any = Remote(self.reader_days, self.database.reach)
        activity = Activity(days, node.clock, ActivityLimits(), node.loop.time)
        await bus.listen(ReaderSignal, activity.heard)
        returns = Publisher(bus, ReaderSignal, publisher_id=node.ids.next().bytes)
        outbox, store = self._outbox(node, bus, self.graph)
        deps = GraphDeps(
            store=store,
            outbox=outbox,
            recent=self._recent(),
            signals=signals,
            accounts=KnownAccounts(known),
            limits=FollowLimits(store, 5000),
            stance_limits=StanceLimits(store),
            turns=Turns(),
            cursors=Cursors(_CURSOR_KEYS, node.clock),
            readers=Readers(days, activity, returns),
            clock=node.clock,
            faults=node.faults,
        )
        consumers = Consumers(bus, [end_void_follow, end_blocked_follows, keep_reader_day], deps, look_s=_NEVER_S)
        node.serve(add_GraphServiceServicer_to_server, GraphServicer(deps))
        node.heart = node.background("heartbeats", lambda: _beat(signals, returns))
        node.background("activity", activity.run)
        node.background("consumers", consumers.run)

    async def _build_tweet(self, node: Node) -> None:
        bus = BrokerBus(self.broker, node, "svc_tweet")
        await bus.declare([TweetCreated, TweetDeleted])
        outbox, store = self._outbox(node, bus, self.tweets)
        signals = Publisher(bus, TweetStatusSignal, publisher_id=node.ids.next().bytes)
        deps = TweetDeps(
            store=store,
            outbox=outbox,
            user=UserServiceStub(self.wire(node, "user", user_pb2.DESCRIPTOR)),
            recent=self._recent(),
            signals=signals,
            clock=node.clock,
            ids=node.ids,
            faults=node.faults,
        )
        node.serve(add_TweetServiceServicer_to_server, TweetServicer(deps))
        node.heart = node.background("status-heartbeat", signals.beat)

    async def _build_timeline(self, node: Node) -> None:
        bus = BrokerBus(self.broker, node, "svc_timeline")
        await bus.declare([TweetCreated, FollowSet, FanoutChunk, ReaderSeen])
        tweet = TweetServiceStub(self.wire(node, "tweet", tweet_pb2.DESCRIPTOR))
        store: Any = Remote(self.homes, self.database.reach)
        windows: Any = Remote(self.windows, self.cache.reach)
        presence: Any = Remote(self.presence, self.cache.reach)
        outbox, states = self._outbox(node, bus, self.readers)
        deps = TimelineDeps(
            store=store,
            windows=windows,
            cache=HomeCache(windows, self.limits.window),
            rebuilds=Rebuilds(
                windows, store, tweet, limits=self.limits, clock=node.clock, ids=node.ids, faults=node.faults
            ),
            graph=GraphServiceStub(self.wire(node, "graph", graph_pb2.DESCRIPTOR)),
            tweet=tweet,
            heads=Heads(tweet, self.limits.backfill),
            bus=bus,
            presence=presence,
            seen=SeenReaders(states, outbox, node.clock, node.faults),
            live=LiveSignals(bus, node.ids.next().bytes),
            limits=self.limits,
            clock=node.clock,
            faults=node.faults,
        )
        consumers = Consumers(bus, [plan_fanout, deliver_chunk, backfill_follow], deps, look_s=_NEVER_S)
        node.serve(add_TimelineServiceServicer_to_server, TimelineServicer(deps))
        node.serve(add_MeshServiceServicer_to_server, Backlog([outbox], [consumers]))
        node.background("consumers", consumers.run)

    async def _build_engage(self, node: Node) -> None:
        peers = Peers(
            tweet=self.wire(node, "tweet", tweet_pb2.DESCRIPTOR),
            graph=self.wire(node, "graph", graph_pb2.DESCRIPTOR),
            user=self.wire(node, "user", user_pb2.DESCRIPTOR),
        )
        await self.engagement.build(node, peers, Cursors(_CURSOR_KEYS, node.clock), self._recent())

    async def _build_edge(self, node: Node) -> None:
        channels = Channels(
            timeline=self.wire(node, "timeline", timeline_pb2.DESCRIPTOR),
            tweet=self.wire(node, "tweet", tweet_pb2.DESCRIPTOR),
            user=self.wire(node, "user", user_pb2.DESCRIPTOR),
            graph=self.wire(node, "graph", graph_pb2.DESCRIPTOR),
            engage=self.wire(node, "engage", engage_pb2.DESCRIPTOR),
        )
        deps = build_deps(channels, node.loop.time, node.clock)
        deps = replace(deps, relations=self.bug.relations(deps.graph, node.clock, node.loop.time))
        await listen(deps, BrokerBus(self.broker, node, "edge"))
        node.serve(add_ViewServiceServicer_to_server, ViewServicer(deps))


async def _beat(*publishers: Publisher) -> None:
    async with asyncio.TaskGroup() as beating:
        for publisher in publishers:
            beating.create_task(publisher.beat())
