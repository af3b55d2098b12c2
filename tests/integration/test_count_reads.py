"""Fast reads of counts on a real Redis: how often it is asked, and what is shown while it is emptied, broken or silent."""

import asyncio
import dataclasses
import os
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from readers.recent import LIKE, OwnLike
from redis_client import Redis, connect_redis
from redis_client.line import Line, Replies, Word
from runtime.bus.envelope import partition_of
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids
from svc_engage.cache.redis import RedisCountCache
from svc_engage.counting.known import KnownRows
from svc_engage.domain.families import Family
from svc_engage.domain.marks import LikeState, MarkKind
from svc_engage.domain.relations import Count, Kind, Row, Subject
from svc_engage.like_rows import LikeRows
from svc_engage.marks import MarkBuilds
from svc_engage.reads import Reads
from svc_engage.store import Counted, Position
from svc_engage.store_memory import MemoryEngageStore
from tests.proxy import Proxy, proxy_before
from tests.storing import store_like
from tests.waiting import until

CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)
AUTHOR = b"a" * 16


class NotedLine(Line):
    """A line that notes what goes over it together."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.trips: list[list[Word]] = []

    async def ask(self, *commands: Sequence[Word]) -> Replies:
        self.trips.append([words[0] for words in commands])
        return await super().ask(*commands)


@dataclass
class World:
    """A process that reads, writes and counts likes, its store in memory, its Redis behind a network that can break."""

    redis: Redis
    namespace: str
    line: NotedLine
    proxy: Proxy
    store: MemoryEngageStore = field(default_factory=MemoryEngageStore)

    def __post_init__(self) -> None:
        self.cache = RedisCountCache(self.line, self.namespace)
        self.builds = MarkBuilds(self.store, self.cache, CLOCK, IDS)
        self.rows = LikeRows(self.store, self.cache, self.cache, KnownRows(), NO_FAULTS)
        self.reads = Reads(self.store, self.cache, self.builds, self.rows)

    async def empty(self) -> None:
        """Redis forgets everything of this namespace."""
        async for key in self.redis.scan_iter(match=f"{self.namespace}:*", count=10_000):
            await self.redis.delete(key)

    async def answers(self) -> bool:
        """Whether Redis can be reached."""
        try:
            await self.line.execute_command("PING")
        except Unavailable:
            return False
        return True


@pytest.fixture
async def world(mesh_config: MeshConfig) -> AsyncIterator[World]:
    redis = connect_redis(mesh_config)
    async with proxy_before(urlsplit(mesh_config.redis_url).port or 0) as proxy:
        far = dataclasses.replace(mesh_config, redis_url=f"redis://127.0.0.1:{proxy.port}/0")
        line = NotedLine(far.redis_url)
        world = World(redis, f"n{os.urandom(4).hex()}", line, proxy)
        yield world
        await world.builds.close()
        await world.cache.close()
        await line.aclose()
    await redis.aclose()


def some(count: int) -> list[bytes]:
    return [IDS.next().bytes for _ in range(count)]


async def test_a_page_of_400_with_a_viewer_asks_redis_once(world: World) -> None:
    me, tweets, users = some(1)[0], some(400), some(400)
    await world.builds.build(me)
    for _ in range(2):
        world.line.trips.clear()
        await world.reads.tweets(me, tweets)
        await world.reads.users(me, users)
    assert world.line.trips == [["MGET", "LRANGE", "HMGET"], ["MGET", "LRANGE"]]


async def test_questions_of_one_moment_get_their_own_answers(world: World) -> None:
    tweets = some(40)
    for n, tweet in enumerate(tweets):
        await world.store.put_counts({Subject(tweet, Kind.LIKES): Count(n, 1000 + n)})
    for _ in range(2):
        seen = await asyncio.gather(*(world.reads.tweets(b"", [tweet]) for tweet in tweets))
        assert [one.counts[0][0] for one in seen] == list(range(40))


async def test_who_gives_up_waiting_takes_nobody_elses_answer(world: World) -> None:
    await world.line.execute_command("PING")
    world.proxy.freeze()
    leaving = asyncio.create_task(world.line.execute_command("ECHO", "first"))
    staying = asyncio.create_task(world.line.execute_command("ECHO", "second"))
    await until(lambda: len(world.line.trips) == 3)
    leaving.cancel()
    await world.proxy.mend()
    assert await staying == b"second"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_silent_redis_is_left_and_come_back_to(world: World) -> None:
    """P53: the store answers meanwhile, one's own like included, and what Redis missed is not believed afterwards."""
    log = Log(world, some(1))
    me, tweet = some(1)[0], log.tweets[0]
    await world.builds.build(me)
    await world.reads.tweets(me, log.tweets)
    for silent in (True, False):
        if silent:
            world.proxy.freeze()
        else:
            await world.proxy.cut()
        for liked in (True, False, True):
            await log.like(me, tweet, liked)
            assert await log.seen(me, tweet) == (int(liked), liked)
        await world.proxy.mend()
        await until(world.answers)
        await until(lambda: world.cache.owes == 0)
        assert await log.seen(me, tweet) == (1, True)
        await log.like(me, tweet, False)
        assert await log.seen(me, tweet) == (0, False)


async def test_functions_that_redis_forgot_are_told_again(world: World) -> None:
    tweet = some(1)[0]
    await world.cache.put({Subject(tweet, Kind.LIKES): Count(1, 10)})
    for library in await world.line.execute_command("FUNCTION", "LIST", "LIBRARYNAME", "aviary_engage_*"):
        await world.line.execute_command("FUNCTION", "DELETE", library[1])
    await world.cache.put({Subject(tweet, Kind.LIKES): Count(2, 20)})
    assert (await world.cache.look(Family.TWEET, b"", [tweet])).counts == [(2, 20, 0, 0, 0, 0, 0, 0)]


async def test_everything_that_is_remembered_expires(world: World) -> None:
    log = Log(world, some(1))
    me = some(1)[0]
    await log.like(me, log.tweets[0], True)
    await log.count()
    await world.builds.build(me)
    await world.reads.tweets(me, log.tweets)
    await world.cache.begin_interactions(me, b"t" * 8)
    keys = [key async for key in world.redis.scan_iter(match=f"{world.namespace}:*", count=10_000)]
    assert len(keys) == 4
    assert all([0 < await world.redis.pttl(key) <= 30 * 60 * 1000 for key in keys])


class Log:
    """Likes in one log, the requests that set them, and the owner that counts them."""

    def __init__(self, world: World, tweets: Sequence[bytes]) -> None:
        self.world, self.tweets = world, tweets
        self._place = 1_000_000
        self._owed: dict[Subject, Count] = {}
        self._entries: dict[bytes, list[tuple[int, bytes, bool]]] = {tweet: [] for tweet in tweets}

    async def like(self, user: bytes, tweet: bytes, liked: bool) -> int:
        """As a request does."""
        before = await self.world.store.mark(user, MarkKind.LIKE, tweet)
        self._place += 1
        place, delta = self._place, liked - before.present
        self._entries[tweet].append((place, user, liked))
        await asyncio.sleep(0)
        like = LikeState(tweet, AUTHOR, user, liked, place, 0, CLOCK.now_ms())
        await store_like(self.world.store, like, before, delta)
        await asyncio.gather(
            self.world.cache.set_mark(user, MarkKind.LIKE, tweet, like.mark(before, delta)),
            self.world.cache.record(user, LIKE, OwnLike(tweet, liked, delta, place, before.at).packed()),
        )
        return place

    async def count(self) -> None:
        """As the owner does: counts, then Redis, then rows."""
        counts, rows = {}, []
        for tweet in self.tweets:
            subject, states = Subject(tweet, Kind.LIKES), self.states(tweet, self._place)
            counts[subject] = Count(sum(states.values()), self._place)
            rows += [Counted(subject, user, 0, Row(state, self._place, self._place)) for user, state in states.items()]
        place = self._place
        await self.world.store.put_counts(counts)
        self._owed.update(counts)
        try:
            await self.world.cache.put(self._owed)
        except Unavailable:
            await asyncio.sleep(0)
        else:
            self._owed.clear()
        await self.world.store.put_counted(rows)
        for tweet in self.tweets:
            await self.world.store.put_positions([Position("engage-likes", partition_of(tweet), place)])

    def states(self, tweet: bytes, as_of: int) -> dict[bytes, bool]:
        """Who liked it and did not, up to a place."""
        return {user: liked for place, user, liked in self._entries[tweet] if place <= as_of}

    async def crowd(self, tweet: bytes) -> None:
        """Ten others like it, all at once."""
        self._place += 1
        self._entries[tweet] += [(self._place, other, True) for other in some(10)]

    async def seen(self, user: bytes, tweet: bytes) -> tuple[int, bool]:
        """Count and flag."""
        seen = await self.world.reads.tweets(user, [tweet])
        return seen.counts[0][0], tweet in seen.liked


@dataclass
class Storm:
    """Each tweet has one user who likes and unlikes it, and a crowd of which ten at a time like it: so what is shown says of whom."""

    world: World
    log: Log
    users: dict[bytes, bytes]
    dice: random.Random = field(default_factory=lambda: random.Random(11))
    done: asyncio.Event = field(default_factory=asyncio.Event)
    wrong: list[str] = field(default_factory=list)

    async def like(self, tweet: bytes) -> None:
        """Like and unlike, and look."""
        for step in range(60):
            liked = self.dice.random() < 0.6
            if step % 4 == 0:
                await self.log.crowd(tweet)
            await self.log.like(self.users[tweet], tweet, liked)
            for _ in range(2):
                count, flag = await self.log.seen(self.users[tweet], tweet)
                if flag != liked or count % 10 != liked or count // 10 > step // 4 + 1:
                    self.wrong.append(f"{count} {flag} after {liked}")

    async def look(self) -> None:
        """Look as somebody who likes nothing."""
        while not self.done.is_set():
            count, flag = await self.log.seen(b"v" * 16, self.dice.choice(self.log.tweets))
            if flag or count % 10 > 1:
                self.wrong.append(f"{count} {flag} for somebody else")

    async def count(self) -> None:
        """Own the partition, with a pause after each batch."""
        while not self.done.is_set():
            await self.log.count()
            await asyncio.sleep(0.02)

    async def lose(self) -> None:
        """Empty Redis again and again, and cut the line to it now and then."""
        for turn in range(1, 10_000):
            if self.done.is_set():
                break
            await self.world.empty()
            if turn % 5 == 0:
                await self.world.proxy.cut()
                await self.world.proxy.mend()
                await until(self.world.answers)


async def test_while_redis_is_emptied_and_broken_under_likes_every_answer_was_true_and_soon_all_are_right(
    world: World,
) -> None:
    """P52, P53, P56: users like and unlike, others look, the owner counts, and Redis loses everything again and again."""
    log = Log(world, some(6))
    storm = Storm(world, log, {tweet: some(1)[0] for tweet in log.tweets})
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        for work in (storm.look(), storm.look(), storm.count(), storm.lose()):
            tasks.create_task(work)
        async with asyncio.TaskGroup() as liking:
            for tweet in log.tweets:
                liking.create_task(storm.like(tweet))
        storm.done.set()
    assert storm.wrong == []
    await log.count()
    await until(lambda: world.cache.owes == 0)
    for tweet, user in storm.users.items():
        states = log.states(tweet, 1 << 60)
        assert await log.seen(user, tweet) == (sum(states.values()), states[user])
        assert await log.seen(b"", tweet) == (sum(states.values()), False)
