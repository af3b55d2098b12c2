"""What CountCache promises, held against the one in memory and the one in Redis alike."""

import os
from collections.abc import AsyncIterator
from itertools import permutations
from typing import Protocol

import pytest

from readers.recent import BOOKMARK, FOLLOW, GRAPH_VERSION, LIKE, OwnBookmark, OwnFollow, OwnLike, RecentWrites
from redis_client import Redis, connect_redis
from redis_client.line import Line
from runtime.config import MeshConfig
from runtime.ids import SystemClock, uuid7_of
from svc_engage.cache import CountCache, Interactions, Marks
from svc_engage.cache.memory import MemoryCountCache
from svc_engage.cache.port import AUTHORS_KEPT
from svc_engage.cache.redis import RedisCountCache
from svc_engage.domain.families import Family, Slots
from svc_engage.domain.marks import Mark, MarkKind
from svc_engage.domain.overlay import Both, OwnState, Stated
from svc_engage.domain.relations import Count, Kind, Subject
from svc_engage.domain.weights import HALF_LIFE_MS

CLOCK = SystemClock()
MARKS_KEPT, MARKS_MOST = 4, 8
NOW_MS = CLOCK.now_ms()
LOWEST = bytes(16)
TOKEN, OTHER = b"t" * 16, b"o" * 16


class Kept(Protocol):
    """One kind of cache, and what tests do beside it."""

    cache: CountCache

    async def write(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        """Something that a user did lately."""

    async def empty(self) -> None:
        """The cache is emptied."""


class InMemory:
    def __init__(self) -> None:
        self._memory = MemoryCountCache(CLOCK, MARKS_KEPT, MARKS_MOST)
        self.cache: CountCache = self._memory

    async def write(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        await self._memory.record(user_id, kind, value)

    async def empty(self) -> None:
        self._memory.clear()


class InRedis:
    def __init__(self, line: Line, redis: Redis, namespace: str) -> None:
        self._redis, self._namespace = redis, namespace
        self._recent = RecentWrites(redis, namespace)
        self.cache: CountCache = RedisCountCache(line, namespace, marks_kept=MARKS_KEPT, marks_most=MARKS_MOST)

    async def write(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        await self._recent.record(user_id, kind, value)

    async def empty(self) -> None:
        async for key in self._redis.scan_iter(match=f"{self._namespace}:*", count=10_000):
            await self._redis.delete(key)


@pytest.fixture(params=["memory", "redis"])
async def kept(request: pytest.FixtureRequest, mesh_config: MeshConfig, namespace: str) -> AsyncIterator[Kept]:
    """Each kind in turn."""
    if request.param == "memory":
        yield InMemory()
        return
    redis, line = connect_redis(mesh_config), Line(mesh_config.redis_url, silence_s=60)
    yield InRedis(line, redis, f"{namespace}c")
    await line.aclose()
    await redis.aclose()


def some_id() -> bytes:
    return os.urandom(16)


def tweet(age: int = 0) -> bytes:
    """A tweet that is so many milliseconds old."""
    return uuid7_of(NOW_MS - age, int.from_bytes(os.urandom(9))).bytes


def likes(tweet_id: bytes, count: int, as_of: int) -> dict[Subject, Count]:
    return {Subject(tweet_id, Kind.LIKES): Count(count, as_of)}


def slots(likes_count: int, as_of: int, others_as_of: int = 1) -> Slots:
    return (likes_count, as_of, *((0, others_as_of) * 3))


async def counts_of(cache: CountCache, tweet_id: bytes) -> Slots | None:
    return (await cache.look(Family.TWEET, b"", [tweet_id])).counts[0]


async def marks_of(cache: CountCache, user: bytes, *tweets: bytes) -> Marks:
    return (await cache.look(Family.TWEET, user, tweets)).marks


async def built(cache: CountCache, user: bytes, states: dict[bytes, Both], floor: bytes = LOWEST) -> None:
    await cache.begin_marks(user, TOKEN)
    assert await cache.fill_marks(user, TOKEN, states, floor)


async def engaged(cache: CountCache, user: bytes, weights: dict[bytes, float], base_ms: int = NOW_MS) -> None:
    await cache.begin_interactions(user, TOKEN)
    await cache.fill_interactions(user, TOKEN, Interactions(base_ms, weights))


def liked(at: int, present: bool = True, delta: int = 1, author: bytes = b"a" * 16, ms: int = NOW_MS) -> Mark:
    return Mark(present, at, delta, author, ms)


async def test_what_nobody_told_is_not_known(kept: Kept) -> None:
    glance = await kept.cache.look(Family.TWEET, some_id(), [tweet(), tweet()])
    assert list(glance.counts) == [None, None]
    assert glance.marks == Marks()
    assert not (glance.recent.likes or glance.recent.following)


async def test_nothing_asked_is_nothing_answered(kept: Kept) -> None:
    assert list((await kept.cache.look(Family.TWEET, b"", [])).counts) == []
    assert list((await kept.cache.look(Family.USER, some_id(), [])).counts) == []
    await kept.cache.put({})
    await kept.cache.fill(Family.TWEET, {})
    assert list(await kept.cache.reserve(Family.TWEET, [])) == []


async def test_a_put_count_is_known_and_those_beside_it_are_not(kept: Kept) -> None:
    one = tweet()
    await kept.cache.put({Subject(one, Kind.REPLIES): Count(7, 1_700_000_000_000_001)})
    assert await counts_of(kept.cache, one) == (0, 0, 0, 0, 7, 1_700_000_000_000_001, 0, 0)


async def test_counts_of_users_and_tweets_with_one_id_are_apart(kept: Kept) -> None:
    one = some_id()
    await kept.cache.put({Subject(one, Kind.TWEETS): Count(3, 9), Subject(one, Kind.LIKES): Count(5, 8)})
    assert list((await kept.cache.look(Family.USER, b"", [one])).counts) == [(0, 0, 0, 0, 3, 9)]
    assert await counts_of(kept.cache, one) == (5, 8, 0, 0, 0, 0, 0, 0)


async def test_many_are_told_and_asked_at_once_and_come_in_their_order(kept: Kept) -> None:
    many = [tweet() for _ in range(400)]
    await kept.cache.put({Subject(one, Kind.LIKES): Count(n, 5) for n, one in enumerate(many) if n % 3})
    found = (await kept.cache.look(Family.TWEET, b"", many)).counts
    assert [None if one is None else one[0] for one in found] == [n if n % 3 else None for n in range(400)]


async def test_a_count_only_goes_forward_but_its_owner_repairs_it_where_it_stands(kept: Kept) -> None:
    """P56: telling a count again, or late, changes nothing."""
    one = tweet()
    for count, as_of, shown in ((5, 50, 5), (4, 40, 5), (6, 50, 6), (6, 50, 6), (7, 60, 7), (6, 50, 7)):
        await kept.cache.put(likes(one, count, as_of))
        found = await counts_of(kept.cache, one)
        assert found is not None
        assert found[0] == shown


async def test_what_the_store_said_fills_what_is_not_known(kept: Kept) -> None:
    one, other = tweet(), tweet()
    await kept.cache.put(likes(one, 9, 90))
    tokens = await kept.cache.reserve(Family.TWEET, [one, other])
    await kept.cache.fill(Family.TWEET, {one: (tokens[0], slots(8, 80)), other: (tokens[1], slots(0, 1))})
    assert await counts_of(kept.cache, one) == slots(9, 90)
    assert await counts_of(kept.cache, other) == slots(0, 1)


async def test_what_the_store_said_replaces_only_what_goes_less_far(kept: Kept) -> None:
    one = tweet()
    await kept.cache.put(likes(one, 5, 50))
    (token,) = await kept.cache.reserve(Family.TWEET, [one])
    for count, as_of, shown in ((4, 40, 5), (4, 50, 5), (6, 60, 6)):
        await kept.cache.fill(Family.TWEET, {one: (token, slots(count, as_of))})
        found = await counts_of(kept.cache, one)
        assert found is not None
        assert found[0] == shown


async def test_room_that_was_made_holds_no_counts_and_has_one_token_for_all(kept: Kept) -> None:
    one = tweet()
    (token,) = await kept.cache.reserve(Family.TWEET, [one])
    assert await kept.cache.reserve(Family.TWEET, [one]) == [token]
    assert await counts_of(kept.cache, one) == slots(0, 0, 0)
    await kept.cache.put(likes(one, 1, 10))
    assert await kept.cache.reserve(Family.TWEET, [one]) == [token]


async def test_in_every_order_of_putting_filling_and_forgetting_the_latest_count_is_known_or_none(kept: Kept) -> None:
    """P56: a reader whose store answered before the owner wrote never leaves the older count behind, wherever it is overtaken."""
    for steps in sorted(set(permutations(["reserve", "owner", "fill", "forget", "forget"]))):
        if steps.index("reserve") > steps.index("fill"):
            continue
        one = tweet()
        token, stored, read = b"", slots(1, 10), slots(1, 10)
        for step in steps:
            if step == "reserve":
                (token,) = await kept.cache.reserve(Family.TWEET, [one])
                read = stored
            elif step == "owner":
                stored = slots(2, 20)
                await kept.cache.put(likes(one, 2, 20))
            elif step == "fill":
                await kept.cache.fill(Family.TWEET, {one: (token, read)})
            else:
                await kept.empty()
        found = await counts_of(kept.cache, one)
        assert found is None or found[1] in (0, 20), steps


async def test_what_was_forgotten_is_not_filled_although_the_owner_put_something_since(kept: Kept) -> None:
    one = tweet()
    (token,) = await kept.cache.reserve(Family.TWEET, [one])
    await kept.cache.put(likes(one, 2, 20))
    await kept.empty()
    await kept.cache.put({Subject(one, Kind.REPLIES): Count(1, 30)})
    await kept.cache.fill(Family.TWEET, {one: (token, slots(1, 10))})
    assert await counts_of(kept.cache, one) == (0, 0, 0, 0, 1, 30, 0, 0)


async def test_marks_are_complete_once_they_are_built(kept: Kept) -> None:
    user, one, other, third = some_id(), tweet(), tweet(), tweet()
    both = Both(Stated(True, 5), Stated(False, 6))
    await built(kept.cache, user, {one: both, other: Both(bookmark=Stated(True, 7))})
    marks = await marks_of(kept.cache, user, third, other, one)
    assert marks.floor == LOWEST
    assert marks.states == {one: both, other: Both(bookmark=Stated(True, 7))}


async def test_a_mark_that_was_set_is_known_though_none_were_built(kept: Kept) -> None:
    user, one = some_id(), tweet()
    await kept.cache.set_mark(user, MarkKind.LIKE, one, liked(5))
    await kept.cache.set_mark(user, MarkKind.BOOKMARK, one, liked(9, False))
    assert await marks_of(kept.cache, user, one) == Marks(None, {one: Both(Stated(True, 5), Stated(False, 9))})


async def test_of_two_states_of_a_mark_the_later_stays_in_whatever_order_they_come(kept: Kept) -> None:
    user, one = some_id(), tweet()
    for at, present, shown in ((5, True, 5), (9, False, 9), (7, True, 9), (9, False, 9)):
        await kept.cache.set_mark(user, MarkKind.LIKE, one, liked(at, present))
        assert (await marks_of(kept.cache, user, one)).states[one].like.at == shown
    await kept.cache.begin_marks(user, TOKEN)
    assert await kept.cache.fill_marks(user, TOKEN, {one: Both(Stated(True, 8), Stated(True, 3))}, LOWEST)
    assert (await marks_of(kept.cache, user, one)).states[one] == Both(Stated(False, 9), Stated(True, 3))


async def test_in_every_order_of_a_build_a_like_and_forgetting_no_like_is_missing_where_all_are_said_to_be(
    kept: Kept,
) -> None:
    """P53: the like is stored before it is remembered; a build that read the store before that must not say that it knows all."""
    for steps in sorted(set(permutations(["begin", "store", "mark", "fill", "forget", "forget"]))):
        if steps.index("begin") > steps.index("fill") or steps.index("store") > steps.index("mark"):
            continue
        user, one = some_id(), tweet()
        stored: dict[bytes, Both] = {}
        read: dict[bytes, Both] = {}
        for step in steps:
            if step == "begin":
                await kept.cache.begin_marks(user, TOKEN)
                read = dict(stored)
            elif step == "store":
                stored[one] = Both(like=Stated(True, 5))
            elif step == "mark":
                await kept.cache.set_mark(user, MarkKind.LIKE, one, liked(5))
            elif step == "fill":
                await kept.cache.fill_marks(user, TOKEN, read, LOWEST)
            else:
                await kept.empty()
        marks = await marks_of(kept.cache, user, one)
        assert marks.floor is None or one in marks.states, steps


async def test_of_two_builds_the_one_that_began_last_counts(kept: Kept) -> None:
    user = some_id()
    await kept.cache.begin_marks(user, TOKEN)
    await kept.cache.begin_marks(user, OTHER)
    assert not await kept.cache.fill_marks(user, TOKEN, {}, LOWEST)
    assert (await marks_of(kept.cache, user, tweet())).floor is None
    assert await kept.cache.fill_marks(user, OTHER, {}, LOWEST)
    assert (await marks_of(kept.cache, user, tweet())).floor == LOWEST


async def test_too_many_marks_lose_the_oldest_and_the_floor_says_so(kept: Kept) -> None:
    user = some_id()
    tweets = [tweet(1000 * n) for n in range(MARKS_MOST + 4)]
    await built(kept.cache, user, {})
    for n in (5, 0, 9, 3, 8, 1, 7, 2, 6, 4, 11, 10):
        await kept.cache.set_mark(user, MarkKind.LIKE, tweets[n], liked(n + 1))
    marks = await marks_of(kept.cache, user, *tweets)
    assert marks.floor is not None
    assert len(marks.states) <= MARKS_MOST
    above = [one for one in tweets if one >= marks.floor]
    assert len(above) >= MARKS_KEPT
    assert all(one in marks.states for one in above)


async def test_a_build_that_a_trimming_overtook_does_not_count(kept: Kept) -> None:
    user = some_id()
    await built(kept.cache, user, {})
    await kept.cache.begin_marks(user, OTHER)
    for n in range(MARKS_MOST + 1):
        await kept.cache.set_mark(user, MarkKind.LIKE, tweet(1000 * n), liked(n + 1))
    assert not await kept.cache.fill_marks(user, OTHER, {}, LOWEST)


async def test_too_many_marks_that_nobody_asked_for_are_forgotten(kept: Kept) -> None:
    user = some_id()
    tweets = [tweet(1000 * n) for n in range(MARKS_MOST + 1)]
    await kept.cache.begin_marks(user, TOKEN)
    for n, one in enumerate(tweets):
        await kept.cache.set_mark(user, MarkKind.LIKE, one, liked(n + 1))
    assert (await marks_of(kept.cache, user, *tweets)).floor is None
    assert not await kept.cache.fill_marks(user, TOKEN, {}, LOWEST)


async def test_that_a_viewer_changed_how_they_stand_to_others_comes_with_the_counts_of_whatever(kept: Kept) -> None:
    user = some_id()
    for version in (7, 9, 8):
        await kept.write(user, GRAPH_VERSION, version.to_bytes(8))
    for tweets in ([some_id()], []):
        assert (await kept.cache.look(Family.TWEET, user, tweets)).recent.graph_version == 9
    assert (await kept.cache.look(Family.TWEET, some_id(), [])).recent.graph_version == 0


async def test_what_a_viewer_did_lately_comes_with_the_counts(kept: Kept) -> None:
    user, one, followee = some_id(), tweet(), some_id()
    await kept.write(user, LIKE, OwnLike(one, True, 1, 50, 0).packed())
    await kept.write(user, LIKE, OwnLike(one, False, -1, 70, 50).packed())
    await kept.write(user, BOOKMARK, OwnBookmark(one, True, 60).packed())
    await kept.write(user, FOLLOW, OwnFollow(followee, 1, 8, 9, 5).packed())
    recent = (await kept.cache.look(Family.TWEET, user, [one])).recent
    assert recent.likes[one] == [OwnState(False, True, 70, 70, 50), OwnState(True, False, 50, 50)]
    assert recent.bookmarks == {one: Stated(True, 60)}
    assert await kept.cache.recent_likes(user) == {one: 70}
    assert await kept.cache.recent_likes(some_id()) == {}
    recent = (await kept.cache.look(Family.USER, user, [followee])).recent
    assert recent.following == {followee: [OwnState(True, None, 8, 5)]}
    assert recent.followers == {followee: [OwnState(True, None, 9, 5)]}


async def test_interactions_are_known_once_they_were_added_up(kept: Kept) -> None:
    user, author = some_id(), some_id()
    assert await kept.cache.interactions(user) is None
    await kept.cache.begin_interactions(user, TOKEN)
    assert await kept.cache.interactions(user) is None
    await kept.cache.fill_interactions(user, TOKEN, Interactions(NOW_MS, {author: 2.5}))
    assert await kept.cache.interactions(user) == Interactions(NOW_MS, {author: 2.5})
    await engaged(kept.cache, user, {})
    assert await kept.cache.interactions(user) == Interactions(NOW_MS, {})


async def test_a_like_weighs_as_much_as_it_is_young_and_once_however_often_it_is_told(kept: Kept) -> None:
    user, known, new = some_id(), some_id(), some_id()
    await engaged(kept.cache, user, {some_id(): 9.0, known: 2.0}, NOW_MS - HALF_LIFE_MS)
    one, other = tweet(), tweet()
    for _ in range(2):
        await kept.cache.set_mark(user, MarkKind.LIKE, one, liked(5, author=known))
        await kept.cache.set_mark(user, MarkKind.LIKE, other, liked(6, author=new))
    found = await kept.cache.interactions(user)
    assert found is not None
    assert (found.weights[known], found.weights[new]) == (pytest.approx(4.0), pytest.approx(2.0))


async def test_what_changed_nothing_or_is_a_bookmark_is_no_interaction(kept: Kept) -> None:
    user, author = some_id(), some_id()
    await engaged(kept.cache, user, {})
    await kept.cache.set_mark(user, MarkKind.LIKE, tweet(), liked(5, delta=0, author=author))
    await kept.cache.set_mark(user, MarkKind.BOOKMARK, tweet(), liked(5, author=author))
    assert await kept.cache.interactions(user) == Interactions(NOW_MS, {})


async def test_one_author_more_than_are_kept_takes_the_place_of_the_least(kept: Kept) -> None:
    user, author = some_id(), some_id()
    weights = {some_id(): float(n + 1) for n in range(AUTHORS_KEPT + 5)}
    await engaged(kept.cache, user, weights)
    heaviest = set(list(weights)[5:])
    found = await kept.cache.interactions(user)
    assert found is not None
    assert set(found.weights) == heaviest
    await kept.cache.set_mark(user, MarkKind.LIKE, tweet(), liked(5, author=author))
    found = await kept.cache.interactions(user)
    assert found is not None
    assert set(found.weights) == (heaviest - {list(weights)[5]}) | {author}


async def test_after_an_unlike_interactions_are_added_up_anew(kept: Kept) -> None:
    user, author = some_id(), some_id()
    await engaged(kept.cache, user, {author: 2.0})
    await kept.cache.set_mark(user, MarkKind.LIKE, tweet(), liked(5, False, -1, author))
    assert await kept.cache.interactions(user) is None


async def test_a_like_while_interactions_are_added_up_makes_that_void(kept: Kept) -> None:
    user = some_id()
    await kept.cache.begin_interactions(user, TOKEN)
    await kept.cache.set_mark(user, MarkKind.LIKE, tweet(), liked(5))
    await kept.cache.fill_interactions(user, TOKEN, Interactions(NOW_MS, {}))
    assert await kept.cache.interactions(user) is None


async def test_what_was_forgotten_since_interactions_were_read_is_not_filled(kept: Kept) -> None:
    user = some_id()
    await kept.cache.begin_interactions(user, TOKEN)
    await kept.empty()
    await kept.cache.fill_interactions(user, TOKEN, Interactions(NOW_MS, {}))
    assert await kept.cache.interactions(user) is None
