"""svc_timeline on real Cassandra, Redis and NATS, with an svc_graph and an svc_tweet that know what a test gives them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aviary.graph.v1.events_pb2 import FollowSet
from aviary.timeline.v1.events_pb2 import FanoutChunk, HomeSignal, ReaderSeen
from aviary.tweet.v1.events_pb2 import TweetCreated

from cql_client import Cql
from outbox import CqlOutboxTable, Outbox
from readers.presence import Presence
from readers.recent import OWN_TWEET, RecentWrites
from redis_client import Redis, connect_redis
from redis_client.line import Line
from runtime.bus import NatsBus
from runtime.config import MeshConfig
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids, split_ids
from svc_timeline import store as store_module
from svc_timeline.config import Limits
from svc_timeline.domain import Entry, Span
from svc_timeline.events import first_chunk
from svc_timeline.rebuild import Rebuilds
from svc_timeline.states import CqlHomeStates
from svc_timeline.store import CqlHomeStore
from svc_timeline.windows import RedisWindows
from svc_timeline.workers import backfill_follow, deliver_chunk, plan_fanout
from tests.unit.svc_timeline.world import World, newest_first

LIMITS = Limits(window=40, chunk=1000, backfill=50, window_ttl_s=600)
PATIENCE_S = 60


class RealWorld(World):
    """A world on real servers."""

    def __init__(self, config: MeshConfig, cql: Cql, redis: Redis, bus: NatsBus) -> None:
        clock = SystemClock()
        self.redis, self.config, self.line = redis, config, Line(config.redis_url, silence_s=60)
        self.recent = RecentWrites(redis, config.namespace)
        self.windows = RedisWindows(self.line, config.namespace, self.recent, LIMITS)
        self.presence = Presence(redis, config.namespace, clock)
        store = CqlHomeStore(cql, clock, LIMITS.stored_ttl_s)
        self.outbox = Outbox(CqlOutboxTable(cql, clock), bus, clock, NO_FAULTS)
        self.states = CqlHomeStates(cql, self.outbox, clock)
        parts = store, self.windows, self.presence, bus, self.states, self.outbox
        super().__init__(LIMITS, clock, Uuid7Ids(clock), *parts)

    async def settle(self) -> None:
        """Until every message is acknowledged."""

        async def idle() -> bool:
            return not any(state.pending for state in await self.consumers.backlog())

        await until(idle, "messages are left unhandled")
        await self.deps.rebuilds.settle()

    async def lose_cache(self) -> None:
        """Delete every key of this namespace."""
        async for key in self.redis.scan_iter(match=f"{self.config.namespace}:*", count=1000):
            await self.redis.unlink(key)

    def without_redis(self) -> World:
        """The same service with a cache that nobody answers for."""
        windows = RedisWindows(Line("redis://127.0.0.1:1/0"), self.config.namespace, self.recent, LIMITS)
        parts = self.deps.store, windows, self.presence, self.bus, self.states, self.outbox
        other = World(LIMITS, self.clock, self.ids, *parts)
        other.graph.followers, other.tweets.by_author = self.graph.followers, self.tweets.by_author
        return other


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE_S
    while not await condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
async def world(mesh_config: MeshConfig) -> AsyncIterator[RealWorld]:
    config = replace(mesh_config, area="timeline", namespace=f"{mesh_config.namespace}tl")
    cql = await Cql.connect(config, Path(store_module.__file__).parent / "schema")
    bus = await NatsBus.connect(config)
    await bus.declare([TweetCreated, FollowSet, FanoutChunk, ReaderSeen])
    redis = connect_redis(config)
    world = RealWorld(config, cql, redis, bus)
    await world.windows.start()
    running = asyncio.create_task(world.consumers.run())
    yield world
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await world.lose_cache()
    await world.line.aclose()
    await redis.aclose()
    await bus.close()
    await cql.close()


def followed(world: RealWorld, count: int) -> tuple[bytes, list[bytes]]:
    """An author and so many followers, whose follows are long handled."""
    author, readers = world.person(), [world.person() for _ in range(count)]
    world.graph.followers[author] = sorted(readers)
    return author, readers


async def stored(world: RealWorld, reader: bytes) -> list[bytes]:
    """A home as the store has it."""
    low, high = b"\x00" * 16, b"\xff" * 16
    span = Span(low, high)
    return [entry.entry_id for entry in await world.deps.store.read(reader, span, 1000)]


async def test_a_tweet_reaches_2500_followers_in_three_chunks_once_each(world: RealWorld) -> None:
    author, readers = followed(world, 2500)
    warm = [readers[0], readers[1300], readers[2499]]
    await world.warm(*warm)
    tweet = await world.post(author)
    await world.settle()
    for reader in (*readers[::97], *warm, author):
        assert await stored(world, reader) == [tweet]
    for reader in (*warm, readers[5], author):
        assert await world.home(reader) == [tweet]
    assert [len(await stored(world, reader)) for reader in readers[990:1010]] == [1] * 20


@pytest.mark.parametrize("point", ["timeline.chunk.middle", "timeline.chunk.after_stored", "timeline.chunk.before_ack"])
async def test_a_chunk_that_breaks_off_loses_and_doubles_nobody(world: RealWorld, point: str) -> None:
    """P8, P9: the first delivery fails at the point; the message comes again."""
    author, readers = followed(world, 1500)
    warm = [readers[0], readers[700], readers[1499]]
    await world.warm(*warm)
    world.faults.crash(point)
    tweets = [await world.post(author) for _ in range(2)]
    await world.settle()
    assert point not in world.faults.actions
    for reader in (*readers[::53], *warm, author):
        assert await stored(world, reader) == newest_first(tweets)
    for reader in warm:
        assert await world.home(reader, 1) == newest_first(tweets)


async def test_every_event_handled_twice_and_in_reverse_changes_nothing(world: RealWorld) -> None:
    """P8."""
    author, readers = followed(world, 30)
    await world.warm(*readers[:5])
    events = [world.tweet(author) for _ in range(4)]
    follow = FollowSet(event_id=world.person(), follower_id=readers[1], followee_id=author, following=True)
    shard = (await world.graph.GetFollowerShards(None, None)).shards[0]  # type: ignore[arg-type]
    for event in [*reversed(events), *events]:
        await plan_fanout(event, world.deps)
        await deliver_chunk(first_chunk(event, shard), world.deps)
    for _ in range(2):
        await backfill_follow(follow, world.deps)
    await world.settle()
    expected = newest_first([event.tweet_id for event in events])
    for reader in (*readers, author):
        assert await stored(world, reader) == expected
        assert await world.home(reader, 3) == expected


async def test_a_lost_cache_loses_no_entry_and_is_built_again(world: RealWorld) -> None:
    """P5, promise 2."""
    author, readers = followed(world, 3)
    reader = readers[0]
    await world.warm(reader)
    tweets = [await world.post(author) for _ in range(60)]
    await world.settle()
    await world.lose_cache()
    tweets += [await world.post(author) for _ in range(5)]
    await world.settle()
    assert await world.home(reader, 7) == newest_first(tweets)
    await world.settle()
    window = (await world.windows.look(reader, 100)).window
    assert window is not None
    assert window.ready
    assert [entry.entry_id for entry in window.entries] == newest_first(tweets)[:40]
    assert await world.home(reader, 7) == newest_first(tweets)


async def test_a_home_is_read_across_window_and_store(world: RealWorld) -> None:
    """P6, P24: any page size gives what the store has."""
    author, readers = followed(world, 1)
    await world.warm(readers[0])
    tweets = [await world.post(author) for _ in range(130)]
    await world.settle()
    assert await stored(world, readers[0]) == newest_first(tweets)
    for limit in (7, 50, 200):
        assert await world.home(readers[0], limit) == newest_first(tweets)


async def test_without_redis_homes_are_whole_within_bounded_time(world: RealWorld) -> None:
    """Promise 9, P13: the store and the own head answer."""
    author, readers = followed(world, 1)
    tweets = [await world.post(author) for _ in range(6)]
    await world.settle()
    own = world.tweet(readers[0]).tweet_id
    away = world.without_redis()
    async with asyncio.timeout(3):
        answer = await away.page(readers[0], 3)
    assert answer.recent_unknown
    assert await away.home(readers[0], 3) == newest_first(tweets, [own])


async def test_own_writes_are_read_in_the_round_trip_of_the_window(world: RealWorld) -> None:
    """P13: recorded by the owner before it answered, long before the fan-out."""
    await world.lose_cache()
    await world.windows.start()
    reader = world.person()
    await world.warm(reader)
    own = world.tweet(reader).tweet_id
    await world.recent.record(reader, OWN_TWEET, own)
    calls = world.tweets.calls
    answer = await world.page(reader)
    assert split_ids(answer.tweet_ids) == [own]
    assert not answer.recent_unknown
    assert world.tweets.calls == calls


async def test_edges_hear_which_of_their_readers_have_a_tweet(world: RealWorld) -> None:
    author, readers = followed(world, 4)
    edge, heard = world.person(), list[HomeSignal]()

    async def hear(signal: HomeSignal) -> None:
        heard.append(signal)

    stop = await world.bus.listen(HomeSignal, hear, edge)
    assert not await world.presence.beat(edge)
    assert await world.presence.beat(edge)
    for reader in readers[:3]:
        await world.presence.arrive(reader, edge)
    await world.presence.leave(readers[2], edge)
    tweet = await world.post(author)
    await world.settle()

    async def told() -> bool:
        return bool(heard)

    await until(told, "no signal came")
    await stop()
    assert (heard[0].tweet_id, heard[0].author_id, heard[0].sequence) == (tweet, author, 1)
    assert sorted(split_ids(heard[0].reader_ids)) == sorted(readers[:2])


async def test_a_window_lives_on_for_its_time_from_each_read(world: RealWorld) -> None:
    reader = world.person()
    await world.warm(reader)
    key = world.windows._key(reader)
    await world.redis.pexpire(key, 1000)
    await world.windows.push([reader], Entry(world.person(), world.person()))
    assert await world.redis.pttl(key) <= 1000
    await world.page(reader)
    assert await world.redis.pttl(key) > (LIMITS.window_ttl_s - 60) * 1000


async def test_a_page_never_has_a_hole_while_windows_come_and_go(world: RealWorld) -> None:
    """P6: deliveries, reads, lost windows and builds by several processes at once; every page is a stretch of the truth."""
    author, readers = followed(world, 1)
    reader = readers[0]
    shard = (await world.graph.GetFollowerShards(None, None)).shards[0]  # type: ignore[arg-type]
    others = [_rebuilds(world) for _ in range(2)]
    posted: list[bytes] = []
    done = asyncio.Event()

    async def deliver() -> None:
        for n in range(150):
            event = world.tweet(author)
            posted.append(event.tweet_id)
            await deliver_chunk(first_chunk(event, shard), world.deps)
            if n % 25 == 10:
                await world.windows.drop(reader)
        done.set()

    async def read() -> int:
        pages = 0
        while not done.is_set():
            begun = len(posted)
            page = split_ids((await world.page(reader, 10)).tweet_ids)
            truth = [tweet for tweet in posted[::-1] if not page or tweet <= page[0]][: len(page)]
            assert page == truth
            # The last one that was begun may be under way; those before it have arrived.
            assert begun < 2 or (page and page[0] >= posted[begun - 2])
            pages += 1
        return pages

    async def build(rebuilds: Rebuilds) -> None:
        while not done.is_set():
            await rebuilds.build(reader)
            await asyncio.sleep(0)

    _, pages, *_ = await asyncio.gather(deliver(), read(), *map(build, others))
    assert pages > 10
    await world.settle()
    assert await world.home(reader, 9) == newest_first(posted)


def _rebuilds(world: RealWorld) -> Rebuilds:
    """The builds of another process."""
    deps = world.deps
    return Rebuilds(
        world.windows,
        deps.store,
        deps.tweet,
        limits=LIMITS,
        clock=world.clock,
        ids=Uuid7Ids(world.clock),
        faults=world.faults,
    )
