"""svc_timeline over in-process channels, with an svc_graph and an svc_tweet that know what a test gives them."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from aviary.graph.v1.events_pb2 import FollowSet
from aviary.graph.v1.graph_pb2 import (
    FollowerShard,
    GetFollowerPageRequest,
    GetFollowerPageResponse,
    GetFollowerShardsRequest,
    GetFollowerShardsResponse,
)
from aviary.graph.v1.graph_pb2_grpc import (
    GraphServiceServicer,
    GraphServiceStub,
    add_GraphServiceServicer_to_server,
)
from aviary.timeline.v1.events_pb2 import FanoutChunk, HomeSignal, ReaderSeen
from aviary.timeline.v1.timeline_pb2 import GetHomeRequest, GetHomeResponse
from aviary.timeline.v1.timeline_pb2_grpc import TimelineServiceStub, add_TimelineServiceServicer_to_server
from aviary.tweet.v1.events_pb2 import TweetCreated
from aviary.tweet.v1.tweet_pb2 import ListAuthorTweetsRequest, ListAuthorTweetsResponse
from aviary.tweet.v1.tweet_pb2_grpc import (
    TweetServiceServicer,
    TweetServiceStub,
    add_TweetServiceServicer_to_server,
)
from grpc import aio

from in_process import InProcessChannel
from outbox import Announcer
from readers.presence import Readers
from runtime.bus import Consumers
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.faults import Faults
from runtime.guard import Guard
from runtime.ids import Clock, Ids, Uuid7Ids, derived, ms_of, split_ids
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from simulation.presence import MemoryPresence
from svc_timeline.cache import HomeCache
from svc_timeline.config import Limits
from svc_timeline.deps import Deps
from svc_timeline.heads import Heads
from svc_timeline.rebuild import Rebuilds
from svc_timeline.seen import SeenReaders
from svc_timeline.servicer import TimelineServicer
from svc_timeline.signals import LiveSignals
from svc_timeline.states import HomeStates
from svc_timeline.states_memory import MemoryHomeStates
from svc_timeline.store import HomeStore
from svc_timeline.store_memory import MemoryHomeStore
from svc_timeline.windows import Windows
from svc_timeline.windows_memory import MemoryWindows
from svc_timeline.workers import backfill_follow, deliver_chunk, plan_fanout

DAY_MS = 24 * 3600 * 1000


class SetClock:
    def __init__(self, ms: int = 1_760_000_000_000) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms

    def now_us(self) -> int:
        return self.ms * 1000


class Crash(Exception):
    """Stands for the death of the process at a fault point: nothing after it happens, and the message comes again."""


class CallAt(Faults):
    """Does something at a fault point, the first time, instead of dying there."""

    def __init__(self) -> None:
        super().__init__()
        self.actions: dict[str, Callable[[], None]] = {}
        self.passed: list[str] = []

    def at(self, point: str) -> None:
        self.passed.append(point)
        if action := self.actions.pop(point, None):
            action()

    def crash(self, point: str) -> None:
        """Die at the next pass."""

        def die() -> None:
            raise Crash(point)

        self.actions[point] = die


class Follows(GraphServiceServicer):
    """Answers with the followers that it was given, and counts the calls."""

    def __init__(self) -> None:
        self.followers: dict[bytes, list[bytes]] = defaultdict(list)
        self.shards = 1
        self.calls = 0
        self.asked: list[GetFollowerPageRequest] = []

    def follow(self, follower: bytes, followee: bytes) -> None:
        self.followers[followee] = sorted({*self.followers[followee], follower})

    async def GetFollowerShards(self, request: GetFollowerShardsRequest, context: object) -> GetFollowerShardsResponse:
        self.calls += 1
        return GetFollowerShardsResponse(shards=[FollowerShard(level=0, bucket=n) for n in range(self.shards)])

    async def GetFollowerPage(self, request: GetFollowerPageRequest, context: object) -> GetFollowerPageResponse:
        self.calls += 1
        shard = [f for f in self.followers[request.user_id] if f[-1] % self.shards == request.shard.bucket]
        page = shard[bisect_right(shard, request.after) :]
        self.asked.append(request)
        return GetFollowerPageResponse(
            follower_ids=b"".join(page[: request.limit]),
            has_more=len(page) > request.limit,
            as_of=b"%d followers" % len(shard),
        )


class Tweets(TweetServiceServicer):
    """Answers with the tweets that it was given, and counts the calls."""

    def __init__(self) -> None:
        self.by_author: dict[bytes, list[bytes]] = defaultdict(list)
        self.calls = 0
        self.down = False

    async def ListAuthorTweets(self, request: ListAuthorTweetsRequest, context: object) -> ListAuthorTweetsResponse:
        self.calls += 1
        if self.down:
            raise aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "down")
        high = request.max_id or b"\xff" * 16
        found = [t for t in self.by_author[request.author_id] if request.since_id < t < high]
        found.sort(reverse=True)
        return ListAuthorTweetsResponse(tweet_ids=b"".join(found[: request.limit]), has_more=len(found) > request.limit)


class World:
    """The service under test, everything around it, and short words for what tests do."""

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        ids: Ids,
        store: HomeStore,
        windows: Windows,
        presence: Readers,
        bus: Any,
        states: HomeStates,
        outbox: Announcer,
    ) -> None:
        self.clock, self.ids, self.limits, self.bus = clock, ids, limits, bus
        self.graph, self.tweets, self.faults = Follows(), Tweets(), CallAt()
        guard = Guard(CallerSigner(Secret(b"k" * 32), "timeline", clock))
        peers = InProcessChannel(guard, service="timeline")
        peers.register(add_GraphServiceServicer_to_server, self.graph)
        peers.register(add_TweetServiceServicer_to_server, self.tweets)
        stub = TweetServiceStub(peers)
        rebuilds = Rebuilds(windows, store, stub, limits=limits, clock=clock, ids=ids, faults=self.faults)
        self.deps = Deps(
            store=store,
            windows=windows,
            cache=HomeCache(windows, limits.window),
            rebuilds=rebuilds,
            graph=GraphServiceStub(peers),
            tweet=stub,
            heads=Heads(stub, limits.backfill),
            bus=bus,
            presence=presence,
            seen=SeenReaders(states, outbox, clock, self.faults),
            live=LiveSignals(bus, ids.next().bytes),
            limits=limits,
            clock=clock,
            faults=self.faults,
        )
        self.consumers = Consumers(bus, [plan_fanout, deliver_chunk, backfill_follow], self.deps)
        own, outside = InProcessChannel(guard, service="edge"), InProcessChannel(guard)
        for channel in (own, outside):
            channel.register(add_TimelineServiceServicer_to_server, TimelineServicer(self.deps))
        self.stub: Any = TimelineServiceStub(own)
        self.outside: Any = TimelineServiceStub(outside)

    def person(self) -> bytes:
        """An account."""
        return self.ids.next().bytes

    def tweet(self, author: bytes) -> TweetCreated:
        """A tweet, stored by its owner and not yet announced."""
        tweet_id = self.ids.next().bytes
        self.tweets.by_author[author].append(tweet_id)
        event = TweetCreated(event_id=derived("t", tweet_id), tweet_id=tweet_id, author_id=author)
        event.occurred_at.FromMilliseconds(ms_of(tweet_id))
        return event

    async def post(self, author: bytes) -> bytes:
        """A tweet that was announced; `settle` fans it out."""
        event = self.tweet(author)
        await self.bus.publish(event)
        return event.tweet_id

    async def follow(self, follower: bytes, followee: bytes, following: bool = True) -> FollowSet:
        """A follow, or its end, stored and announced."""
        if following:
            self.graph.follow(follower, followee)
        else:
            self.graph.followers[followee].remove(follower)
        event = FollowSet(
            event_id=self.ids.next().bytes, follower_id=follower, followee_id=followee, following=following
        )
        await self.bus.publish(event)
        return event

    async def settle(self) -> None:
        """Until nothing is left to do."""
        await self.bus.settle()
        await self.deps.rebuilds.settle()

    async def page(self, user: bytes, limit: int = 20, max_id: bytes = b"", since_id: bytes = b"") -> GetHomeResponse:
        """One page of a home."""
        request = GetHomeRequest(user_id=user, limit=limit, max_id=max_id, since_id=since_id)
        answer: GetHomeResponse = await self.stub.GetHome(request)
        return answer

    async def home(self, user: bytes, limit: int = 20) -> list[bytes]:
        """A whole home, page by page."""
        found: list[bytes] = []
        more = True
        while more:
            answer = await self.page(user, limit, max_id=found[-1] if found else b"")
            found += split_ids(answer.tweet_ids)
            more = answer.has_more
        return found

    async def warm(self, *users: bytes) -> None:
        """Give homes a window."""
        for user in users:
            await self.page(user)
        await self.deps.rebuilds.settle()

    def signals(self) -> list[HomeSignal]:
        """What edges were told."""
        return [signal for signal in self.bus.signals if isinstance(signal, HomeSignal)]

    def seen(self) -> list[ReaderSeen]:
        """Who was announced to have read, each reader and day once."""
        return [message for message in self.bus.published if isinstance(message, ReaderSeen)]

    def jobs(self) -> list[FanoutChunk]:
        """The chunk jobs so far, each once."""
        return [message for message in self.bus.published if isinstance(message, FanoutChunk)]


class MemoryWorld(World):
    """A world in memory, whose clock is set; it stands still unless a test moves it."""

    def __init__(self, limits: Limits) -> None:
        self.set_clock = SetClock()
        self.store = MemoryHomeStore(self.set_clock, limits.stored_ttl_s)
        self.windows = MemoryWindows(self.set_clock, limits)
        self.presence = MemoryPresence()
        ids, bus = Uuid7Ids(self.set_clock), MemoryBus("timeline")
        outbox = MemoryOutbox(bus, self.set_clock)
        self.states = MemoryHomeStates(outbox.write, self.set_clock)
        parts = self.store, self.windows, self.presence, bus, self.states, outbox
        super().__init__(limits, self.set_clock, ids, *parts)

    async def post_each(self, author: bytes, count: int, apart_ms: int = 60_000) -> list[bytes]:
        """Tweets some time apart, each fanned out before the next; newest first."""
        posted = []
        for _ in range(count):
            self.set_clock.ms += apart_ms
            posted.append(await self.post(author))
            await self.settle()
        return posted[::-1]


def newest_first(*tweets: Sequence[bytes]) -> list[bytes]:
    """All of them, each once, in the order of a home."""
    return sorted({tweet for some in tweets for tweet in some}, reverse=True)
