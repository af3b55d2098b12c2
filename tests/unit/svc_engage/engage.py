"""svc_engage over in-process channels with memory stores, a clock that is set, and an svc_tweet that knows a few tweets."""

import asyncio
import uuid
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import pytest
from aviary.engage.v1 import engage_pb2 as pb
from aviary.engage.v1.engage_pb2_grpc import EngageServiceStub, add_EngageServiceServicer_to_server
from aviary.engage.v1.events_pb2 import LikeSet
from aviary.graph.v1.events_pb2 import RELATION_BLOCK, RelationChange, RelationSignal
from aviary.graph.v1.graph_pb2 import (
    CompareSnapshotsRequest,
    CompareSnapshotsResponse,
    GetRelationshipsRequest,
    GetRelationshipsResponse,
    GetViewerSnapshotRequest,
    GetViewerSnapshotResponse,
    RelationshipEntry,
)
from aviary.graph.v1.graph_pb2_grpc import (
    GraphServiceServicer,
    GraphServiceStub,
    add_GraphServiceServicer_to_server,
)
from aviary.tweet.v1.events_pb2 import TweetDeleted, TweetStatusSignal
from aviary.tweet.v1.tweet_pb2 import GetTweetsRequest, GetTweetsResponse, StoredTweet
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceServicer, TweetServiceStub, add_TweetServiceServicer_to_server
from aviary.user.v1.events_pb2 import AccountChange, AccountSignal
from aviary.user.v1.user_pb2 import (
    USER_STATUS_ACTIVE,
    GetUsersRequest,
    GetUsersResponse,
    User,
    UserStatus,
)
from aviary.user.v1.user_pb2_grpc import UserServiceServicer, UserServiceStub, add_UserServiceServicer_to_server
from grpc import aio

import accounts
from accounts import Accounts
from cursors import Cursors, parse_keys
from in_process import InProcessChannel
from relations.viewers import Relations, listen
from runtime.bus import Envelope
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.errors import ServiceError, Unavailable, from_rpc
from runtime.faults import NO_FAULTS
from runtime.guard import Guard
from runtime.ids import Uuid7Ids
from simulation.bus import MemoryBus
from simulation.recent import RecordedWrites
from statuses import Statuses
from svc_engage.cache.memory import MemoryCountCache
from svc_engage.counting.known import KnownRows
from svc_engage.deps import Deps
from svc_engage.domain.families import Family
from svc_engage.domain.marks import LikeSetting, Mark, MarkKind
from svc_engage.domain.relations import Count, Kind, Row, Subject
from svc_engage.interactions import Engagements
from svc_engage.known_tweets import KnownTweets
from svc_engage.like_rows import LikeRows
from svc_engage.marks import MarkBuilds
from svc_engage.reads import Reads
from svc_engage.servicer import EngageServicer
from svc_engage.store import Counted
from svc_engage.store_memory import MemoryEngageStore

T = TypeVar("T")
PUBLISHER = b"p" * 16
START = 1000
"""The first fact of a stream has the place behind it."""


class SetClock:
    """Stands where it is set, but for 2 us that pass whenever it is read."""

    def __init__(self) -> None:
        self.us = 1_760_000_000_000_000

    def now_ms(self) -> int:
        return self.us // 1000

    def now_us(self) -> int:
        self.us += 2
        return self.us

    def now_s(self) -> float:
        return self.us / 1_000_000


class LongLog(MemoryBus):
    """Places are far from 0, as they are in any real log."""

    async def send(self, envelopes: Sequence[Envelope]) -> list[int]:
        return [START + place for place in await super().send(envelopes)]


@dataclass
class FewTweets(TweetServiceServicer):
    """Answers GetTweets for the tweets that it was given, and counts the calls."""

    authors: dict[bytes, bytes] = field(default_factory=dict)
    deleted: set[bytes] = field(default_factory=set)
    calls: int = 0
    down: bool = False

    async def GetTweets(self, request: GetTweetsRequest, context: object) -> GetTweetsResponse:
        self.calls += 1
        if self.down:
            raise aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "down")
        known = [one for one in request.tweet_ids if one in self.authors]
        tweets = [StoredTweet(tweet_id=i, author_id=self.authors[i], deleted=i in self.deleted) for i in known]
        return GetTweetsResponse(tweets=tweets)


@dataclass
class FewBlocks(GraphServiceServicer):
    """Tells the blocks that it was given, a snapshot whose state changes with them, and counts the calls."""

    blocks: set[tuple[bytes, bytes]] = field(default_factory=set)
    calls: int = 0
    snapshots: int = 0
    down: bool = False

    async def GetViewerSnapshot(self, request: GetViewerSnapshotRequest, context: object) -> GetViewerSnapshotResponse:
        self._called()
        self.snapshots += 1
        me = request.user_id
        return GetViewerSnapshotResponse(
            state=self._state(),
            blocked_ids=b"".join(b for a, b in self.blocks if a == me),
            blocked_by_ids=b"".join(a for a, b in self.blocks if b == me),
        )

    async def CompareSnapshots(self, request: CompareSnapshotsRequest, context: object) -> CompareSnapshotsResponse:
        self._called()
        return CompareSnapshotsResponse(unchanged=[one for one in request.known if one.state == self._state()])

    async def GetRelationships(self, request: GetRelationshipsRequest, context: object) -> GetRelationshipsResponse:
        self._called()
        me = request.user_id
        return GetRelationshipsResponse(
            entries=[
                RelationshipEntry(user_id=i, blocking=(me, i) in self.blocks, blocked_by=(i, me) in self.blocks)
                for i in request.other_ids
            ]
        )

    def _state(self) -> bytes:
        return b"%d" % (hash(frozenset(self.blocks)) % 1_000_000)

    def _called(self) -> None:
        self.calls += 1
        if self.down:
            raise aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "down")


@dataclass
class EveryAccount(UserServiceServicer):
    """Answers GetUsers as if every account were there, but for those whose state it was given, and counts the calls."""

    states: dict[bytes, UserStatus.ValueType] = field(default_factory=dict)
    unknown: set[bytes] = field(default_factory=set)
    calls: int = 0
    down: bool = False

    async def GetUsers(self, request: GetUsersRequest, context: object) -> GetUsersResponse:
        self.calls += 1
        if self.down:
            raise aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "down")
        found = [one for one in request.user_ids if one not in self.unknown]
        return GetUsersResponse(
            users=[
                User(user_id=str(uuid.UUID(bytes=one)), status=self.states.get(one, USER_STATUS_ACTIVE))
                for one in found
            ]
        )


class UncertainStore(MemoryEngageStore):
    """Does not answer while it is `down`, writes likes only while `writes` is set, and notes of which tweets a mark was read."""

    down = False

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[bytes] = []
        self.writes = asyncio.Event()
        self.writes.set()

    async def mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes) -> Mark:
        self.reads.append(tweet_id)
        return await super().mark(user_id, kind, tweet_id)

    async def list_likes(self, likes: Sequence[LikeSetting]) -> None:
        await self.writes.wait()
        self._ensure_up()
        await super().list_likes(likes)

    async def set_bookmark(self, user_id: bytes, tweet_id: bytes, before: Mark, after: Mark) -> None:
        self._ensure_up()
        await super().set_bookmark(user_id, tweet_id, before, after)

    def _ensure_up(self) -> None:
        if self.down:
            raise Unavailable("the store is down", retry_after_s=1)


@dataclass
class Recent(RecordedWrites):
    """Notes own writes, and tells them to the cache while that is there."""

    cache: MemoryCountCache | None = None

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> bool:
        await super().record(user_id, kind, value)
        if self.cache is not None and not self.cache.away:
            return await self.cache.record(user_id, kind, value)
        return False


@dataclass
class Engage:
    """The service under test, and everything around it."""

    stub: Any
    """Called through the edge."""
    direct: Any
    """Called by nobody of the mesh."""
    tweets: FewTweets
    blocks: FewBlocks
    accounts: EveryAccount
    known: KnownTweets
    rows: LikeRows
    store: UncertainStore
    cache: MemoryCountCache
    recent: Recent
    clock: SetClock
    bus: MemoryBus
    ids: Uuid7Ids
    told: int = 0
    """Sequence of the signals of svc_graph."""
    changed: int = 0
    """Sequence of the signals of svc_user."""

    def user(self) -> uuid.UUID:
        """A new account."""
        self.clock.us += 1000
        return self.ids.next()

    def tweet(self) -> uuid.UUID:
        """A new tweet that svc_tweet knows, of an author of its own."""
        tweet_id = self.user()
        self.tweets.authors[tweet_id.bytes] = self.ids.next().bytes
        return tweet_id

    def author(self, tweet_id: uuid.UUID) -> bytes:
        """Who wrote it."""
        return self.tweets.authors[tweet_id.bytes]

    @contextmanager
    def acting(self, user_id: uuid.UUID | None, scopes: tuple[str, ...] = ALL_SCOPES) -> Iterator[None]:
        """Calls of the block come from this user."""
        with acting(Caller(user_id=user_id.bytes, scopes=scopes) if user_id else Caller()):
            yield

    async def like(self, who: uuid.UUID, tweet: uuid.UUID) -> int:
        """Like, and say how many do, when the rows are written, too."""
        self.clock.us += 1000
        with self.acting(who):
            answer = await self.stub.Like(pb.LikeRequest(tweet_id=str(tweet)))
        await self.rows.of(who.bytes)
        assert (answer.tweet_id, answer.liked) == (str(tweet), True)
        return int(answer.likes_count)

    async def unlike(self, who: uuid.UUID, tweet: uuid.UUID) -> int:
        """Like no longer, and say how many do, when the rows are written, too."""
        self.clock.us += 1000
        with self.acting(who):
            answer = await self.stub.Unlike(pb.UnlikeRequest(tweet_id=str(tweet)))
        await self.rows.of(who.bytes)
        assert (answer.tweet_id, answer.liked) == (str(tweet), False)
        return int(answer.likes_count)

    async def answered(self, who: uuid.UUID, tweet: uuid.UUID) -> int:
        """Like, and say how many do; the rows may be on their way."""
        with self.acting(who):
            return int((await self.stub.Like(pb.LikeRequest(tweet_id=str(tweet)))).likes_count)

    async def bookmark(self, who: uuid.UUID, tweet: uuid.UUID) -> None:
        """Bookmark."""
        self.clock.us += 1000
        with self.acting(who):
            answer = await self.stub.Bookmark(pb.BookmarkRequest(tweet_id=str(tweet)))
        assert answer == pb.BookmarkResponse(tweet_id=str(tweet), bookmarked=True)

    async def remove_bookmark(self, who: uuid.UUID, tweet: uuid.UUID) -> None:
        """Remove a bookmark."""
        self.clock.us += 1000
        with self.acting(who):
            answer = await self.stub.RemoveBookmark(pb.RemoveBookmarkRequest(tweet_id=str(tweet)))
        assert answer == pb.RemoveBookmarkResponse(tweet_id=str(tweet), bookmarked=False)

    async def remembers(self, who: uuid.UUID) -> bool:
        """Whether the cache knows all that somebody marked."""
        return (await self.cache.look(Family.TWEET, who.bytes, [])).marks.floor is not None

    async def counted(self, tweet: uuid.UUID, count: int, as_of: int, level: int = 0) -> None:
        """The owner of the tweet's partition stores a count of its likes, up to the `as_of`-th fact, and tells the cache."""
        counts = {Subject(tweet.bytes, Kind.LIKES): Count(count, START + as_of, level)}
        await self.store.put_counts(counts)
        if not self.cache.away:
            await self.cache.put(counts)

    async def settle(self, tweet: uuid.UUID, user: uuid.UUID, counted: bool, at: int) -> None:
        """The owner stores that a user's like is in that count."""
        row = Row(counted, START + at, START + at)
        await self.store.put_counted([Counted(Subject(tweet.bytes, Kind.LIKES), user.bytes, 0, row)])

    async def delete(self, tweet: uuid.UUID) -> None:
        """The author deletes the tweet, and everybody hears it."""
        self.tweets.deleted.add(tweet.bytes)
        await self.bus.publish(TweetDeleted(event_id=self.ids.next().bytes, tweet_id=tweet.bytes, author_id=b"a" * 16))

    async def block(self, who: uuid.UUID, whom: bytes) -> None:
        """Somebody blocks somebody, and everybody hears it."""
        self.blocks.blocks.add((who.bytes, whom))
        change = RelationChange(
            user_id=who.bytes, other_id=whom, relation=RELATION_BLOCK, set=True, version=self.clock.now_us()
        )
        self.told += 1
        await self.bus.signal(RelationSignal(publisher_id=PUBLISHER, sequence=self.told, changes=[change]))

    async def set_state(self, who: bytes, state: UserStatus.ValueType) -> None:
        """The state of an account changes, and everybody hears it."""
        self.accounts.states[who] = state
        self.changed += 1
        change = AccountChange(user_id=who, version=self.clock.now_us(), status=state)
        await self.bus.signal(AccountSignal(publisher_id=PUBLISHER, sequence=self.changed, changes=[change]))

    async def believe(self) -> None:
        """Hear svc_tweet, svc_graph and svc_user for so long that what they say of deletions, blocks and accounts is believed."""
        for _ in range(5):
            await self.bus.signal(TweetStatusSignal(publisher_id=PUBLISHER))
            await self.bus.signal(RelationSignal(publisher_id=PUBLISHER, sequence=self.told))
            await self.bus.signal(AccountSignal(publisher_id=PUBLISHER, sequence=self.changed))
            self.clock.us += 250_000

    def published(self) -> list[LikeSet]:
        """What was announced."""
        return [event for event in self.bus.published if isinstance(event, LikeSet)]


async def build_engage() -> Engage:
    """A fresh one."""
    clock, tweets, blocks, bus = SetClock(), FewTweets(), FewBlocks(), LongLog("engage")
    await bus.declare([LikeSet, TweetDeleted])
    ids, store, cache, statuses = Uuid7Ids(clock), UncertainStore(), MemoryCountCache(clock), Statuses(clock.now_s)
    recent = Recent(cache=cache)
    await bus.listen(TweetStatusSignal, statuses.heard)
    await bus.listen(TweetDeleted, statuses.announced)
    guard = Guard(CallerSigner(Secret(b"k" * 32), "edge", clock))
    tweet_channel = InProcessChannel(guard, service="engage")
    tweet_channel.register(add_TweetServiceServicer_to_server, tweets)
    graph_channel = InProcessChannel(guard, service="engage")
    graph_channel.register(add_GraphServiceServicer_to_server, blocks)
    relations = Relations(GraphServiceStub(graph_channel), clock, clock.now_s)
    await listen(relations, bus)
    user_channel, users = InProcessChannel(guard, service="engage"), EveryAccount()
    user_channel.register(add_UserServiceServicer_to_server, users)
    believed = Accounts(UserServiceStub(user_channel), clock.now_s, size=100, profiles=False)
    await accounts.listen(believed, bus)
    known = KnownTweets(TweetServiceStub(tweet_channel), statuses, size=3)
    rows = LikeRows(store, cache, recent, KnownRows(), NO_FAULTS)
    deps = Deps(
        store=store,
        cache=cache,
        reads=Reads(store, cache, MarkBuilds(store, cache, clock, ids), rows),
        rows=rows,
        engagements=Engagements(store, cache, clock, ids),
        bus=bus,
        tweets=known,
        relations=relations,
        accounts=believed,
        recent=recent,
        cursors=Cursors(parse_keys("1:" + "ab" * 32), clock),
        clock=clock,
        ids=ids,
        faults=NO_FAULTS,
    )
    channel, outside = InProcessChannel(guard, service="edge"), InProcessChannel(guard)
    for one in (channel, outside):
        one.register(add_EngageServiceServicer_to_server, EngageServicer(deps))
    stub, direct = EngageServiceStub(channel), EngageServiceStub(outside)
    return Engage(stub, direct, tweets, blocks, users, known, rows, store, cache, recent, clock, bus, ids)


async def refusal(call: Awaitable[T]) -> ServiceError:
    """The failure of a call that must fail."""
    with pytest.raises(aio.AioRpcError) as raised:
        await call
    return from_rpc(raised.value)
