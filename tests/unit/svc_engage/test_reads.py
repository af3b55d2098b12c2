"""Counts and flags as viewers see them, from a cache that knows all, a part, or nothing, and from the store."""

from collections.abc import Collection, Mapping
from itertools import product

import pytest

from readers.recent import (
    BOOKMARK,
    DELETED_TWEET,
    FOLLOW,
    LIKE,
    OWN_TWEET,
    OwnBookmark,
    OwnFollow,
    OwnLike,
    tweet_value,
)
from runtime.bus.envelope import partition_of
from runtime.errors import Unavailable
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids
from svc_engage.cache.memory import MemoryCountCache
from svc_engage.counting.known import KnownRows
from svc_engage.domain.families import Family
from svc_engage.domain.marks import LikeState, MarkKind, bookmark_after
from svc_engage.domain.relations import Count, Kind, Row, Subject
from svc_engage.like_rows import LikeRows
from svc_engage.marks import MarkBuilds
from svc_engage.reads import Reads
from svc_engage.store import Counted, Position
from svc_engage.store_memory import MemoryEngageStore
from tests.storing import store_like
from tests.waiting import until

CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)


class Store(MemoryEngageStore):
    """A store that notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.away = False

    async def counts(self, subjects: Collection[Subject]) -> dict[Subject, Count]:
        self._asked("counts")
        return await super().counts(subjects)

    async def marks(self, user_id: bytes, kind: MarkKind, tweet_ids: Collection[bytes]) -> dict[bytes, object]:  # type: ignore[override]
        self._asked("marks")
        return dict(await super().marks(user_id, kind, tweet_ids))

    async def rows(
        self, wanted: Mapping[Subject, Collection[bytes]], levels: Mapping[Subject, int]
    ) -> dict[Subject, dict[bytes, Row]]:
        self._asked("rows")
        return await super().rows(wanted, levels)

    def _asked(self, what: str) -> None:
        if self.away:
            raise Unavailable("the store is away", retry_after_s=1)
        self.asked.append(what)


class World:
    """A store, a cache and readers; likes and their counting by hand, so that every moment between can be looked at."""

    def __init__(self) -> None:
        self.store, self.cache = Store(), MemoryCountCache(CLOCK)
        self.builds = MarkBuilds(self.store, self.cache, CLOCK, IDS)
        self.rows = LikeRows(self.store, self.cache, self.cache, KnownRows(), NO_FAULTS)
        self.reads = Reads(self.store, self.cache, self.builds, self.rows)
        self.me, self.tweet = IDS.next().bytes, IDS.next().bytes
        self.places = 1000

    async def like(self, liked: bool = True, recorded: bool = True, remembered: bool = True) -> int:
        """As a request likes; its place."""
        self.places += 10
        before = await self.store.mark(self.me, MarkKind.LIKE, self.tweet)
        delta = liked - before.present
        like = LikeState(self.tweet, b"a" * 16, self.me, liked, self.places, 0, CLOCK.now_ms())
        await store_like(self.store, like, before, delta)
        if remembered:
            await self.cache.set_mark(self.me, MarkKind.LIKE, self.tweet, like.mark(before, delta))
        if recorded and not self.cache.away:
            await self.cache.record(self.me, LIKE, OwnLike(self.tweet, liked, delta, self.places, before.at).packed())
        return self.places

    async def bookmark(self, present: bool) -> None:
        before = await self.store.mark(self.me, MarkKind.BOOKMARK, self.tweet)
        after = bookmark_after(before, present, b"a" * 16, CLOCK.now_us())
        await self.store.set_bookmark(self.me, self.tweet, before, after)
        await self.cache.set_mark(self.me, MarkKind.BOOKMARK, self.tweet, after)
        if not self.cache.away:
            await self.cache.record(self.me, BOOKMARK, OwnBookmark(self.tweet, present, after.at).packed())

    async def count(self, count: int, as_of: int, own: bool, kind: Kind = Kind.LIKES, told: bool = True) -> None:
        """As the owner counts: others' likes and maybe one's own."""
        subject = Subject(self.tweet, kind)
        await self.store.put_counts({subject: Count(count, as_of)})
        if told and not self.cache.away:
            await self.cache.put({subject: Count(count, as_of)})
        await self.store.put_counted([Counted(subject, self.me, 0, Row(own, as_of, as_of))])
        await self.store.put_positions([Position("engage-likes", partition_of(self.tweet), as_of)])

    async def seen(self, viewer: bytes | None = None) -> tuple[int, bool, bool]:
        """Likes, liked, bookmarked."""
        seen = await self.reads.tweets(self.me if viewer is None else viewer, [self.tweet])
        return seen.counts[0][0], self.tweet in seen.liked, self.tweet in seen.bookmarked

    async def warm(self) -> None:
        """Everything is in the cache."""
        await self.builds.build(self.me)
        await self.seen()
        self.store.asked.clear()


@pytest.fixture
async def world() -> World:
    return World()


async def test_what_the_cache_knows_is_not_asked_of_the_store(world: World) -> None:
    await world.count(5, 1000, own=False)
    await world.warm()
    assert await world.seen() == (5, False, False)
    assert await world.seen(b"") == (5, False, False)
    assert world.store.asked == []


async def test_what_nobody_ever_touched_is_nothing_and_that_is_remembered(world: World) -> None:
    assert await world.seen(b"") == (0, False, False)
    world.store.asked.clear()
    assert await world.seen(b"") == (0, False, False)
    assert world.store.asked == []


async def test_a_first_read_has_flags_from_the_store_and_has_them_remembered(world: World) -> None:
    await world.count(1, await world.like(recorded=False, remembered=False), own=True)
    assert await world.seen() == (1, True, False)

    async def complete() -> bool:
        return (await world.cache.look(Family.TWEET, world.me, [world.tweet])).marks.floor is not None

    await until(complete)
    world.store.away = True
    assert await world.seen() == (1, True, False)


async def test_ones_own_like_is_in_flag_and_count_at_once_however_little_is_remembered_of_it() -> None:
    """P53: warm or cold, with or without what was written down, with and without the cache, counted or not."""
    for recorded, remembered, warm, away, liked in product((False, True), repeat=5):
        world = World()
        await world.count(7, 1000, own=False)
        if warm:
            await world.warm()
        world.cache.away = away
        # A request that cannot tell the cache knows that it owes it something: that is the implementation's to keep.
        place = await world.like(True, recorded, remembered or warm)
        if not liked:
            place = await world.like(False, recorded, remembered or warm)
        for back in (False, True):
            world.cache.away = away and not back
            assert await world.seen() == (7 + liked, liked, False), (recorded, remembered, warm, away, liked)
            assert await world.seen(b"") == (7, False, False)
        await world.count(7 + liked, place, own=liked)
        assert await world.seen() == (7 + liked, liked, False)


async def test_a_second_thought_is_seen_wherever_the_count_ends(world: World) -> None:
    """P52, P53: like, unlike and like again, each counted later than the next is set."""
    await world.count(7, 1000, own=False)
    await world.warm()
    places = [await world.like(liked) for liked in (True, False, True)]
    for as_of, own in zip([1000, *places], (False, True, False, True), strict=True):
        await world.count(7 + own, as_of, own=own)
        assert await world.seen() == (8, True, False)


async def test_a_second_thought_that_nobody_wrote_down_is_taken_from_the_rows(world: World) -> None:
    """P52: one less than there are would be shown if the change of the last state alone were added."""
    await world.count(7, 1000, own=False)
    for liked in (True, False):
        await world.like(liked, recorded=False)
    assert await world.seen() == (7, False, False)


async def test_rows_that_are_further_than_the_count_make_it_be_read_again(world: World) -> None:
    """P53: the count and the row are two reads, and the owner may write between them."""
    await world.count(7, 1000, own=False, told=False)
    place = await world.like(recorded=False)
    asked = world.store.rows

    async def overtaken(
        wanted: Mapping[Subject, Collection[bytes]], levels: Mapping[Subject, int]
    ) -> dict[Subject, dict[bytes, Row]]:
        world.store.rows = asked  # type: ignore[method-assign]
        await world.count(8, place, own=True)
        return await asked(wanted, levels)

    world.store.rows = overtaken  # type: ignore[method-assign]
    assert await world.seen() == (8, True, False)


async def test_rows_that_are_not_written_yet_are_waited_for(world: World) -> None:
    """P52: unliked, counted, and liked again before the row of the unlike is written."""
    first = await world.like(recorded=False)
    await world.count(8, first, own=True, told=False)
    second = await world.like(False, recorded=False)
    await world.store.put_counts({Subject(world.tweet, Kind.LIKES): Count(7, second)})
    await world.like(True, recorded=False)
    asked = world.store.position

    async def late(durable: str, partition: int) -> int:
        position = await asked(durable, partition)
        await world.count(7, second, own=False, told=False)
        return position

    world.store.position = late  # type: ignore[method-assign]
    assert await world.seen() == (8, True, False)


async def test_a_bookmark_is_there_at_once_and_gone_at_once() -> None:
    """P53."""
    for warm, away in product((False, True), repeat=2):
        world = World()
        if warm:
            await world.warm()
        world.cache.away = away
        for present in (True, False, True):
            await world.bookmark(present)
            assert await world.seen() == (0, False, present)
        world.cache.away = False
        assert await world.seen() == (0, False, True)


async def test_a_count_that_the_cache_was_not_told_is_right_after_it_was_emptied(world: World) -> None:
    await world.count(5, 1000, own=False)
    await world.warm()
    await world.count(9, 2000, own=False, told=False)
    assert await world.seen(b"") == (5, False, False)
    world.cache.clear()
    assert await world.seen(b"") == (9, False, False)


async def test_one_count_that_the_owner_put_does_not_stand_for_those_beside_it(world: World) -> None:
    await world.count(3, 1000, own=False, kind=Kind.REPLIES, told=False)
    await world.count(5, 1000, own=False)
    seen = await world.reads.tweets(b"", [world.tweet])
    assert (seen.counts[0][0], seen.counts[0][4]) == (5, 3)


async def test_tweets_older_than_what_is_remembered_are_asked_of_the_store(world: World) -> None:
    old = (1).to_bytes(16)
    await world.like()
    await world.builds.build(world.me)
    seen = await world.reads.tweets(world.me, [world.tweet, old])
    assert list(seen.liked) == [world.tweet]
    assert world.store.asked.count("marks") == 2


async def test_without_cache_and_store_there_is_no_answer(world: World) -> None:
    world.cache.away = world.store.away = True
    with pytest.raises((Unavailable, ExceptionGroup)):
        await world.seen()


async def test_with_the_cache_alone_what_it_knows_is_answered(world: World) -> None:
    await world.count(5, 1000, own=False)
    await world.like()
    await world.warm()
    world.store.away = True
    assert await world.seen() == (6, True, False)


async def test_ones_own_follow_is_in_both_counts_at_once(world: World) -> None:
    """P53: follows and unfollows of a moment ago, of somebody whose counts end before or behind them."""
    other = IDS.next().bytes
    follow = OwnFollow(other, 1, 50, 60, 5).packed()
    for as_of, known in ((40, 7), (55, 8), (70, 8)):
        await world.store.put_counts({Subject(world.me, Kind.FOLLOWING): Count(known, as_of)})
        await world.store.put_positions([Position("engage-follows", partition_of(world.me), as_of)])
        world.cache.clear()
        await world.cache.record(world.me, FOLLOW, follow)
        mine, theirs = await world.reads.users(world.me, [world.me, other])
        assert (mine[2], theirs[0]) == (8, 1)
    await world.cache.put({Subject(other, Kind.FOLLOWERS): Count(1, 61)})
    await world.cache.record(world.me, FOLLOW, OwnFollow(other, -1, 80, 90, 6).packed())
    mine, theirs = await world.reads.users(world.me, [world.me, other])
    assert (mine[2], theirs[0]) == (7, 0)
    (theirs,) = await world.reads.users(other, [other])
    assert theirs[0] == 1


async def test_a_follow_whose_place_nobody_knows_is_added_until_its_row_is_counted(world: World) -> None:
    """P53: the broker did not confirm it in time."""
    other = IDS.next().bytes
    subject = Subject(world.me, Kind.FOLLOWING)
    await world.store.put_counts({subject: Count(7, 40)})
    await world.cache.record(world.me, FOLLOW, OwnFollow(other, 1, 0, 0, 5).packed())
    (mine,) = await world.reads.users(world.me, [world.me])
    assert mine[2] == 8
    await world.store.put_counts({subject: Count(8, 90)})
    await world.store.put_counted([Counted(subject, other, 0, Row(True, 5, 90))])
    (mine,) = await world.reads.users(world.me, [world.me])
    assert mine[2] == 8


async def test_ones_own_tweets_count_at_once_and_deleted_ones_no_longer(world: World) -> None:
    """P53."""
    first, second = IDS.next().bytes, IDS.next().bytes
    await world.cache.put({Subject(world.me, Kind.TWEETS): Count(5, 100)})
    for kind, tweet, place, shown in (
        (OWN_TWEET, first, 90, 5),
        (OWN_TWEET, second, 110, 6),
        (DELETED_TWEET, first, 120, 5),
        (DELETED_TWEET, second, 130, 4),
    ):
        await world.cache.record(world.me, kind, tweet_value(tweet, place))
        (mine,) = await world.reads.users(world.me, [world.me])
        assert mine[4] == shown


async def test_no_count_is_ever_below_nothing(world: World) -> None:
    """P52: what was written down and the count contradict one another."""
    await world.cache.put({Subject(world.tweet, Kind.LIKES): Count(0, 10)})
    await world.cache.record(world.me, LIKE, OwnLike(world.tweet, False, -1, 20, 5).packed())
    assert (await world.seen())[0] == 0


async def test_no_mark_is_filled_that_a_like_overtook(world: World) -> None:
    """P53: the like is stored and remembered while the marks are being read; the cache was emptied meanwhile."""
    begun = world.cache.begin_marks

    async def emptied(user_id: bytes, token: bytes) -> None:
        await begun(user_id, token)
        await world.like()
        world.cache.clear()

    world.cache.begin_marks = emptied  # type: ignore[method-assign]
    assert not await world.builds.build(world.me)
    assert (await world.seen())[1]


async def test_rows_that_are_written_while_they_are_read_are_read_again(world: World) -> None:
    """P52, P53: up to which place all rows are stored is asked before them; asked after, it tells of rows that were not seen."""
    subject, place = Subject(world.tweet, Kind.LIKES), await world.like(recorded=False)
    await world.like(recorded=False)
    await world.store.put_counts({subject: Count(1, place)})
    rows = world.store.rows

    async def overtaken(
        wanted: Mapping[Subject, Collection[bytes]], levels: Mapping[Subject, int]
    ) -> dict[Subject, dict[bytes, Row]]:
        found = await rows(wanted, levels)
        await world.store.put_counted([Counted(subject, world.me, 0, Row(True, place, place))])
        await world.store.put_positions([Position("engage-likes", partition_of(world.tweet), place)])
        return found

    world.store.rows = overtaken  # type: ignore[method-assign]
    assert (await world.seen())[0] == 1
