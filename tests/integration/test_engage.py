"""svc_engage on the real servers: races between processes, a request that died, lists, and what all tables say in the end."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from aviary.engage.v1 import engage_pb2 as pb
from aviary.engage.v1.engage_pb2_grpc import EngageServiceStub, add_EngageServiceServicer_to_server
from aviary.engage.v1.events_pb2 import LikeSet
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub, add_GraphServiceServicer_to_server
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub, add_TweetServiceServicer_to_server
from aviary.user.v1.user_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server
from grpc import aio

from accounts import Accounts
from cursors import Cursors, parse_keys
from in_process import InProcessChannel
from ordered.leases import TTL_S
from relations.viewers import Relations
from runtime.bus import envelope_of
from runtime.bus.streams import created_us
from runtime.callers import CallerSigner
from runtime.config import MeshConfig
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.contract import event
from runtime.faults import NO_FAULTS
from runtime.guard import Guard
from runtime.ids import SystemClock, Uuid7Ids, split_ids
from statuses import Statuses
from svc_engage.deps import Deps
from svc_engage.domain.marks import MarkKind, year_of_ms
from svc_engage.domain.relations import Kind, Subject
from svc_engage.events import like_set
from svc_engage.interactions import Engagements
from svc_engage.known_tweets import KnownTweets
from svc_engage.like_rows import LikeRows
from svc_engage.marks import MarkBuilds
from svc_engage.reads import Reads
from svc_engage.servicer import EngageServicer
from tests.integration.counting_process import Process
from tests.unit.svc_engage.engage import EveryAccount, FewBlocks, FewTweets
from tests.waiting import until

CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)
AT_ONCE = 40


@dataclass
class EngageProcess:
    """One process of svc_engage, called through the edge, and its connections."""

    stub: Any
    process: Process

    async def set_like(self, user: uuid.UUID, tweet: uuid.UUID, liked: bool) -> int:
        """Like, or like no longer, and say how many do. What is refused or late on a busy machine is tried again, as clients do."""
        while True:
            try:
                with acting(Caller(user_id=user.bytes, scopes=ALL_SCOPES), deadline_s=30):
                    if liked:
                        return int((await self.stub.Like(pb.LikeRequest(tweet_id=str(tweet)))).likes_count)
                    return int((await self.stub.Unlike(pb.UnlikeRequest(tweet_id=str(tweet)))).likes_count)
            except aio.AioRpcError as refused:
                if refused.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise

    async def likers(self, tweet: uuid.UUID) -> list[bytes]:
        """Who likes it, by the list."""
        return split_ids((await self.stub.ListLikers(pb.ListLikersRequest(tweet_id=tweet.bytes))).user_ids)

    async def likes(self, user: uuid.UUID) -> list[bytes]:
        """What a user likes, by the list."""
        answer = await self.stub.ListLikes(pb.ListLikesRequest(user_id=user.bytes))
        return [entry.tweet_id for entry in answer.tweets]

    async def seen_by(self, viewer: uuid.UUID, tweet: uuid.UUID) -> tuple[int, bool]:
        """Count and flag, as pages of tweets show them."""
        request = pb.GetTweetCountsRequest(viewer_id=viewer.bytes, tweet_ids=[tweet.bytes])
        [counts] = (await self.stub.GetTweetCounts(request)).counts
        return counts.likes_count, counts.liked

    async def last_said(self, tweet: uuid.UUID) -> tuple[LikeSet, int]:
        """The latest fact of a partition that only this tweet's likes are in, and its place."""
        streams, contract = self.process.bus.streams, event(LikeSet)
        stream = streams.name(contract)
        subject = f"{streams.namespace}.{envelope_of(LikeSet(event_id=b'e' * 16, tweet_id=tweet.bytes)).subject}"
        last, info = await streams.js.get_last_msg(stream, subject), await streams.js.stream_info(stream)
        return LikeSet.FromString(last.data or b""), created_us(info) + (last.seq or 0)


@asynccontextmanager
async def engage_process(config: MeshConfig, tweets: FewTweets) -> AsyncIterator[EngageProcess]:
    """A process with connections and caches of its own; svc_tweet is not heard, so every tweet is asked for."""
    process = await Process.connect(config, ttl_s=TTL_S)
    guard = Guard(CallerSigner(config.mesh_key, "edge", CLOCK))
    tweet_channel, channel = InProcessChannel(guard, service="engage"), InProcessChannel(guard, service="edge")
    tweet_channel.register(add_TweetServiceServicer_to_server, tweets)
    graph_channel = InProcessChannel(guard, service="engage")
    graph_channel.register(add_GraphServiceServicer_to_server, FewBlocks())
    user_channel = InProcessChannel(guard, service="engage")
    user_channel.register(add_UserServiceServicer_to_server, EveryAccount())
    store, cache = process.store, process.cache
    builds = MarkBuilds(store, cache, CLOCK, IDS)
    rows = LikeRows(store, cache, cache, process.known, NO_FAULTS)
    deps = Deps(
        store=store,
        cache=cache,
        reads=Reads(store, cache, builds, rows),
        rows=rows,
        engagements=Engagements(store, cache, CLOCK, IDS),
        bus=process.bus,
        tweets=KnownTweets(TweetServiceStub(tweet_channel), Statuses(asyncio.get_running_loop().time), 1000),
        relations=Relations(GraphServiceStub(graph_channel), CLOCK, asyncio.get_running_loop().time),
        accounts=Accounts(UserServiceStub(user_channel), asyncio.get_running_loop().time, 1000, profiles=False),
        recent=cache,
        cursors=Cursors(parse_keys("1:" + "22" * 32), CLOCK),
        clock=CLOCK,
        ids=IDS,
        faults=NO_FAULTS,
    )
    channel.register(add_EngageServiceServicer_to_server, EngageServicer(deps))
    try:
        yield EngageProcess(EngageServiceStub(channel), process)
    finally:
        await builds.close()
        await process.close()


@pytest.fixture(scope="module")
def tweets() -> FewTweets:
    return FewTweets()


@pytest.fixture(scope="module")
async def two(mesh_config: MeshConfig, tweets: FewTweets) -> AsyncIterator[list[EngageProcess]]:
    """Two processes that share the servers and nothing else; the first one counts."""
    config = dataclasses.replace(mesh_config, area="engage", namespace=f"{mesh_config.namespace}like")
    async with AsyncExitStack() as stack:
        both = [await stack.enter_async_context(engage_process(config, tweets)) for _ in range(2)]
        counting = asyncio.create_task(both[0].process.counting().run())
        yield both
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)


def tweet_of(tweets: FewTweets) -> uuid.UUID:
    """A new tweet that svc_tweet knows."""
    tweet = IDS.next()
    tweets.authors[tweet.bytes] = IDS.next().bytes
    return tweet


async def counted_and_settled(of: EngageProcess, user: uuid.UUID, tweet: uuid.UUID, place: int) -> None:
    """Wait until the owner has counted the state that stands at a place."""
    subject = Subject(tweet.bytes, Kind.LIKES)

    async def settled() -> bool:
        row = (await of.process.store.rows({subject: [user.bytes]}, {}))[subject].get(user.bytes)
        return row is not None and row.version >= place and row.at >= place

    await until(settled)


async def test_a_thousand_parallel_likes_and_unlikes_of_one_pair_end_in_one_state_everywhere(
    two: list[EngageProcess], tweets: FewTweets
) -> None:
    """P50, P54: the state of the last in the log, in every table and in Redis, and a count that is that state."""
    alice, bob, tweet = IDS.next(), IDS.next(), tweet_of(tweets)
    await two[0].set_like(bob, tweet, True)
    await counted_and_settled(two[0], bob, tweet, 1)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with places:
            count = await two[number % 2].set_like(alice, tweet, number % 4 < 2)
        # Who races with oneself may be told one more or less, since nobody knows which state one's own followed.
        assert count in range(4)

    await asyncio.gather(*(one(number) for number in range(1000)))
    store = two[0].process.store
    last, place = await two[1].last_said(tweet)
    # Likes are answered before their rows.
    await counted_and_settled(two[0], alice, tweet, place)
    mark = await store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)
    assert (mark.present, mark.at) == (last.liked, place)

    subject, present = Subject(tweet.bytes, Kind.LIKES), mark.present
    row = (await store.rows({subject: [alice.bytes]}, {}))[subject][alice.bytes]
    assert (row.counted, row.present, row.at) == (present, present, mark.at)
    assert (await store.counts([subject]))[subject].count == 1 + present
    for process in two:
        assert set(await process.likers(tweet)) == ({alice.bytes, bob.bytes} if present else {bob.bytes})
        assert await process.likes(alice) == [tweet.bytes] * present
        assert await process.seen_by(alice, tweet) == (1 + present, present)
    # Reading the lists cleared what lost races had left.
    cql, year = two[0].process.cql, year_of_ms(CLOCK.now_ms())
    listed = cql.prepare("SELECT at FROM likers WHERE tweet_id = ? AND bucket = 0")
    assert len(await cql.execute(listed, (tweet,))) == 1 + present
    listed = cql.prepare("SELECT at FROM marks_by_time WHERE user_id = ? AND kind = ? AND year = ?")
    assert len(await cql.execute(listed, (alice, MarkKind.LIKE, year))) == present


async def test_a_like_whose_request_died_after_it_stood_in_the_log_is_counted_and_listed(
    two: list[EngageProcess], tweets: FewTweets
) -> None:
    """P54: what was announced holds, whoever stores it."""
    alice, tweet = IDS.next(), tweet_of(tweets)
    said = like_set(
        event_id=IDS.next(),
        tweet_id=tweet.bytes,
        author_id=tweets.authors[tweet.bytes],
        user_id=alice.bytes,
        liked=True,
        level=0,
        now_ms=CLOCK.now_ms(),
    )
    [place] = await two[1].process.bus.publish(said)
    await counted_and_settled(two[1], alice, tweet, place)
    assert await two[1].likers(tweet) == [alice.bytes]
    assert await two[1].likes(alice) == [tweet.bytes]

    async def seen() -> bool:
        return await two[1].seen_by(alice, tweet) == (1, True)

    await until(seen)
    assert await two[1].set_like(alice, tweet, False) == 0
    assert await two[0].seen_by(alice, tweet) == (0, False)


async def test_the_other_process_shows_each_of_ten_changes_of_mind_at_once(
    two: list[EngageProcess], tweets: FewTweets
) -> None:
    """P53: read your own writes, beside the process that wrote them, whatever of them is counted meanwhile."""
    alice, tweet = IDS.next(), tweet_of(tweets)
    for turn in range(10):
        liked = turn % 2 == 0
        assert await two[turn % 2].set_like(alice, tweet, liked) == liked
        assert await two[1 - turn % 2].seen_by(alice, tweet) == (liked, liked)
