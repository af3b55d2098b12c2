"""svc_engage in the simulated mesh: what it keeps on servers, and its processes, of which two may count the same partition."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aviary.engage.v1.engage_pb2_grpc import add_EngageServiceServicer_to_server
from aviary.engage.v1.events_pb2 import LikeSet
from aviary.graph.v1.events_pb2 import FollowerSet, FollowSet
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub
from aviary.mesh.v1.mesh_pb2_grpc import add_MeshServiceServicer_to_server
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted, TweetStatusSignal
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub
from aviary.user.v1.user_pb2_grpc import UserServiceStub

import accounts
from accounts import Accounts
from backlog import Backlog
from cursors import Cursors
from readers.recent import OwnWrites
from relations.viewers import Relations, listen
from runtime.errors import Unavailable
from simulation.broker import Broker, BrokerBus
from simulation.bugs import Sound
from simulation.loop import SimulatedLoop, pause
from simulation.network import Wire
from simulation.node import Node, SkewedClock
from simulation.partitions import PartitionedLogs
from simulation.servers import Cache, Database, Remote
from statuses import Statuses
from svc_engage.cache.memory import MemoryCountCache
from svc_engage.deps import Deps
from svc_engage.domain.levels import Levels
from svc_engage.domain.marks import LikeSetting, Mark, MarkKind
from svc_engage.domain.relations import Count, Subject
from svc_engage.interactions import Engagements
from svc_engage.known_tweets import KnownTweets
from svc_engage.like_rows import LikeRows
from svc_engage.marks import MarkBuilds
from svc_engage.reads import Reads
from svc_engage.servicer import EngageServicer
from svc_engage.store import Counted, Position
from svc_engage.store_memory import MemoryEngageStore
from svc_engage.workers import Counting

_KNOWN = 1000
_IN_PARTS = 0.2
# So few that a run sees rows split, and marks that are remembered only in part.
_LEVELS = Levels((2, 4))
_MARKS_KEPT, _MARKS_MOST = 3, 5
_OWED_EVERY_S = 1.0


class Peers(NamedTuple):
    """Whom svc_engage asks."""

    tweet: Wire
    graph: Wire
    user: Wire


class Engagement:
    """Counts, marks and their cache, kept by servers; processes come and go."""

    def __init__(self, loop: SimulatedLoop, database: Database, cache: Cache, broker: Broker, bug: Sound) -> None:
        self.store = bug.engage_store(MemoryEngageStore())
        self.cache = MemoryCountCache(SkewedClock(loop), _MARKS_KEPT, _MARKS_MOST)
        self.logs = PartitionedLogs(broker)
        self._database, self._cache, self._broker, self._bug = database, cache, broker, bug
        self.defaulted: set[bytes] = set()
        """People whose marks the cache may show as they were: whoever owed it the newer ones is dead."""
        self.stale: set[bytes] = set()
        """Tweets and people of whose counts the same is true."""

    async def build(self, node: Node, peers: Peers, cursors: Cursors, recent: OwnWrites) -> None:
        """Wire a process of svc_engage."""
        bus = BrokerBus(self._broker, node, "svc_engage")
        await bus.declare([LikeSet, FollowSet, FollowerSet, TweetCreated, TweetDeleted])
        store: Any = RemoteEngageStore(self.store, self._database)
        cache: Any = RemoteCountCache(self.cache, self._cache, node, self.defaulted)
        statuses = Statuses(node.loop.time)
        await bus.listen(TweetStatusSignal, statuses.heard)
        await bus.listen(TweetDeleted, statuses.announced)
        relations = Relations(GraphServiceStub(peers.graph), node.clock, node.loop.time)
        await listen(relations, bus)
        known = Accounts(UserServiceStub(peers.user), node.loop.time, _KNOWN, profiles=False)
        await accounts.listen(known, bus)
        known_rows = self._bug.known_rows()
        rows = LikeRows(store, cache, recent, known_rows, node.faults)
        deps = Deps(
            store=store,
            cache=cache,
            reads=Reads(store, cache, MarkBuilds(store, cache, node.clock, node.ids), rows),
            rows=rows,
            engagements=Engagements(store, cache, node.clock, node.ids),
            bus=bus,
            tweets=KnownTweets(TweetServiceStub(peers.tweet), statuses, _KNOWN),
            relations=relations,
            accounts=known,
            recent=recent,
            cursors=cursors,
            clock=node.clock,
            ids=node.ids,
            faults=node.faults,
        )
        counting = Counting(
            self._bug.counted(store),
            cache,
            bus,
            self.logs.source(node),
            node.clock,
            levels=_LEVELS,
            faults=node.faults,
            known=known_rows,
        )
        node.background("counting", counting.run)
        node.on_death.append(lambda: self.stale.update(subject.subject_id for subject in counting.teller.owing))
        node.serve(add_EngageServiceServicer_to_server, EngageServicer(deps))
        node.serve(add_MeshServiceServicer_to_server, Backlog([], []))

    async def uncounted(self) -> int:
        """Partitions in which something stands that is not counted."""
        left = 0
        for durable, ends in self.logs.ends().items():
            positions = await self.store.positions(durable)
            left += sum(positions.get(partition, 0) < end for partition, end in ends.items())
        return left


class RemoteEngageStore(Remote):
    """The store on the database. What goes to several partitions is not one write: a part may be done."""

    def __init__(self, there: Any, database: Database) -> None:
        super().__init__(there, database.reach)
        self._dice = database.dice

    async def put_counts(self, counts: Mapping[Subject, Count], repaired: bool = False) -> None:
        """See EngageStore."""
        for some in self._parts(list(counts)):
            await self._reach("put_counts", self._effect(self._there.put_counts, ({s: counts[s] for s in some},), {}))

    async def put_counted(self, rows: Sequence[Counted], repaired: bool = False) -> None:
        """See EngageStore."""
        for some in self._parts(rows):
            await self._reach("put_counted", self._effect(self._there.put_counted, (some,), {}))

    async def list_likes(self, likes: Sequence[LikeSetting]) -> None:
        """See EngageStore."""
        for some in self._parts(likes):
            await self._reach("list_likes", self._effect(self._there.list_likes, (some,), {}))

    async def state_likes(self, likes: Sequence[LikeSetting]) -> None:
        """See EngageStore."""
        for some in self._parts(likes):
            await self._reach("state_likes", self._effect(self._there.state_likes, (some,), {}))

    async def put_positions(self, positions: Sequence[Position]) -> None:
        """See EngageStore."""
        for some in self._parts(positions):
            await self._reach("put_positions", self._effect(self._there.put_positions, (some,), {}))

    def _parts(self, items: Sequence[Any]) -> Sequence[Sequence[Any]]:
        if len(items) < 2 or self._dice.roll() >= _IN_PARTS:
            return [items]
        first = 1 + int(self._dice.roll() * (len(items) - 1))
        return [items[:first], items[first:]]


class RemoteCountCache(Remote):
    """The cache as one process reaches it. What it owes to a cache that is away dies with the process."""

    def __init__(self, there: MemoryCountCache, cache: Cache, node: Node, defaulted: set[bytes]) -> None:
        super().__init__(there, cache.reach)
        self._cached = there
        self._node = node
        self._owed: dict[bytes, None] = {}
        node.on_death.append(lambda: defaulted.update(self._owed))

    async def set_mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes, mark: Mark) -> None:
        """See CountCache."""
        try:
            await self._reach("set_mark", self._effect(self._cached.set_mark, (user_id, kind, tweet_id, mark), {}))
        except Unavailable:
            if not self._owed:
                self._node.spawn(self._pay())
            self._owed[user_id] = None

    async def _pay(self) -> None:
        while self._owed:
            user_id = next(iter(self._owed))
            try:
                await self._reach("forget", self._effect(self._cached.forget, (user_id,), {}))
            except Unavailable:
                await pause(_OWED_EVERY_S)
            else:
                del self._owed[user_id]
