"""What EngageStore promises, sentence by sentence, in memory and on the real server."""

import datetime
import uuid
from dataclasses import replace

import pytest

from cql_client import Cql
from runtime.ids import SystemClock, Uuid7Ids, uuid7_of
from svc_engage.domain.marks import UNMARKED, LikeSetting, LikeState, Mark, MarkKind, Placed, PlacedLiker, year_begins
from svc_engage.domain.relations import Count, Kind, Row, Subject
from svc_engage.ledger import LEAST_TOKEN, CqlLedger
from svc_engage.store import Counted, EngageStore, Position
from svc_engage.store_cql import CqlEngageStore
from svc_engage.store_memory import MemoryEngageStore
from tests.storing import store_like, store_likes

CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)
THIS_YEAR = datetime.datetime.now(datetime.UTC).year
MINUTE_MS = 60_000


@pytest.fixture(params=["memory", "cql"])
def store(request: pytest.FixtureRequest) -> EngageStore:
    if request.param == "memory":
        return MemoryEngageStore()
    return CqlEngageStore(request.getfixturevalue("engage_cql"), CLOCK)


def one() -> bytes:
    return IDS.next().bytes


def some(count: int) -> list[bytes]:
    return [one() for _ in range(count)]


def tweet_of(year: int) -> bytes:
    """A tweet from the middle of a year."""
    ms = int(datetime.datetime(year, 6, 1, tzinfo=datetime.UTC).timestamp() * 1000)
    return uuid7_of(ms, IDS.next().int & ((1 << 74) - 1)).bytes


def like(tweet: bytes, user: bytes, at: int, liked: bool = True, level: int = 0, ms: int = 0) -> LikeState:
    return LikeState(tweet, b"a" * 16, user, liked, at, level, ms or CLOCK.now_ms())


async def set_like(store: EngageStore, state: LikeState, delta: int = 0) -> None:
    """As a request does it: after a look at what is stored."""
    await store_like(store, state, await store.mark(state.user_id, MarkKind.LIKE, state.tweet_id), delta)


async def set_bookmark(store: EngageStore, user: bytes, tweet: bytes, mark: Mark) -> None:
    await store.set_bookmark(user, tweet, await store.mark(user, MarkKind.BOOKMARK, tweet), mark)


def bookmark(at: int, present: bool = True, ms: int = 0) -> Mark:
    return Mark(present, at, 0, b"a" * 16, ms or CLOCK.now_ms(), since=at)


async def liked(store: EngageStore, user: bytes) -> list[bytes]:
    return [row.tweet_id for row in await store.list_marked(user, MarkKind.LIKE, None, 1000)]


async def likers(store: EngageStore, tweet: bytes, level: int = 0) -> list[bytes]:
    return [row.user_id for row in await store.list_likers(tweet, level, None, 1000)]


async def edge(store: EngageStore, tweet: bytes, user: bytes, level: int = 0) -> Row | None:
    subject = Subject(tweet, Kind.LIKES)
    return (await store.rows({subject: [user]}, {subject: level}))[subject].get(user)


# Counts


async def test_counts_that_were_never_stored_are_absent_and_others_are_as_they_were_stored(store: EngageStore) -> None:
    tweet, other = some(2)
    counts = {Subject(tweet, Kind.LIKES): Count(5, 100, 1), Subject(tweet, Kind.RETWEETS): Count(0, 7)}
    await store.put_counts(counts)
    asked = [*counts, Subject(tweet, Kind.QUOTES), Subject(other, Kind.LIKES)]
    assert await store.counts(asked) == counts
    assert await store.counts([]) == {}


async def test_a_count_with_a_greater_as_of_stays_whatever_comes_later(store: EngageStore) -> None:
    """A stale owner loses, also when its write arrives last."""
    subject = Subject(one(), Kind.FOLLOWERS)
    for count in (Count(3, 50), Count(9, 40), Count(4, 60), Count(8, 10)):
        await store.put_counts({subject: count})
    assert (await store.counts([subject]))[subject] == Count(4, 60)


async def test_a_level_never_falls_whoever_counted_further_without_having_seen_it(store: EngageStore) -> None:
    """P52: two owners cut the log differently, so one may miss that there were many; rows at the greater level stay in sight."""
    subject = Subject(one(), Kind.LIKES)
    for count, level in ((Count(2, 50, 1), 1), (Count(1, 60, 0), 1), (Count(9, 55, 2), 2), (Count(1, 70, 1), 2)):
        await store.put_counts({subject: count})
        assert (await store.counts([subject]))[subject].level == level
    assert (await store.counts([subject]))[subject] == Count(1, 70, 2)


async def test_only_a_repair_overwrites_a_count_at_the_same_place_and_what_goes_further_overwrites_the_repair(
    store: EngageStore,
) -> None:
    subject = Subject(one(), Kind.LIKES)
    await store.put_counts({subject: Count(3, 50)})
    await store.put_counts({subject: Count(2, 50)}, repaired=True)
    assert (await store.counts([subject]))[subject] == Count(2, 50)
    await store.put_counts({subject: Count(7, 49)}, repaired=True)
    assert (await store.counts([subject]))[subject] == Count(2, 50)
    await store.put_counts({subject: Count(5, 51)})
    assert (await store.counts([subject]))[subject] == Count(5, 51)


async def test_nothing_is_written_at_a_time_in_the_future_which_scylladb_refuses(engage_cql: Cql) -> None:
    """By default it takes no timestamp that is more than three days ahead."""
    store, subject, place = CqlEngageStore(engage_cql, CLOCK), Subject(one(), Kind.LIKES), CLOCK.now_us()
    await store.put_counts({subject: Count(1, place)}, repaired=True)
    await store.put_counted([Counted(subject, one(), 0, Row(True, place, place))], repaired=True)
    count = engage_cql.prepare("SELECT WRITETIME(count) FROM counts WHERE subject_id = ?")
    row = engage_cql.prepare("SELECT WRITETIME(counted) FROM edges WHERE subject_id = ? AND kind = 1 AND shard = 0")
    for statement in (count, row):
        [(written_us,)] = await engage_cql.execute(statement, (uuid.UUID(bytes=subject.subject_id),))
        assert written_us <= CLOCK.now_us()


async def test_a_walk_over_rows_meets_subjects_that_were_never_counted(engage_cql: Cql) -> None:
    store, ledger, tweets = CqlEngageStore(engage_cql, CLOCK), CqlLedger(engage_cql), some(5)
    for tweet in tweets:
        await set_like(store, like(tweet, one(), at=10))
    met: list[Subject] = []
    after: int | None = LEAST_TOKEN
    while after is not None:
        subjects, after = await ledger.walk_rows(after, 3)
        met += subjects
    assert {Subject(tweet, Kind.LIKES) for tweet in tweets} <= set(met)


async def test_counts_of_many_subjects_are_stored_and_read_at_once(store: EngageStore) -> None:
    counts = {Subject(tweet, Kind.LIKES): Count(n, n + 1) for n, tweet in enumerate(some(250))}
    await store.put_counts(counts)
    assert await store.counts(counts) == counts


# Rows


async def test_members_that_were_never_set_are_absent_but_their_subject_is_there(store: EngageStore) -> None:
    subject = Subject(one(), Kind.LIKES)
    assert await store.rows({subject: some(3)}, {}) == {subject: {}}


async def test_counted_rows_and_states_of_requests_do_not_disturb_each_other(store: EngageStore) -> None:
    tweet, user = some(2)
    subject = Subject(tweet, Kind.LIKES)
    await set_like(store, like(tweet, user, 10))
    assert await edge(store, tweet, user) == Row(present=True, at=10, since=10)
    await store.put_counted([Counted(subject, user, 0, Row(True, 10, 10))])
    assert await edge(store, tweet, user) == Row(True, 10, 10, True, 10, 10)
    await set_like(store, like(tweet, user, 12, liked=False))
    assert await edge(store, tweet, user) == Row(True, 10, 10, False, 12, 12)


async def test_a_counted_row_with_a_greater_place_stays_and_at_the_same_place_only_a_repair_overwrites(
    store: EngageStore,
) -> None:
    author, tweet = some(2)
    subject = Subject(author, Kind.TWEETS)

    async def put(row: Row, repaired: bool = False) -> Row:
        await store.put_counted([Counted(subject, tweet, 0, row)], repaired)
        return (await store.rows({subject: [tweet]}, {}))[subject][tweet]

    assert await put(Row(True, 1, 20)) == Row(True, 1, 20)
    assert await put(Row(False, 2, 19)) == Row(True, 1, 20)
    assert await put(Row(False, 1, 20), repaired=True) == Row(False, 1, 20)
    assert await put(Row(True, 2, 21)) == Row(True, 2, 21)


async def test_rows_are_found_at_every_level_up_to_the_one_that_is_asked_for(store: EngageStore) -> None:
    """The later state counts, wherever it lies; rows above the level are not looked for."""
    tweet, members = one(), some(120)
    subject = Subject(tweet, Kind.LIKES)
    await store.put_counted([Counted(subject, member, 0, Row(True, 5, 5)) for member in members])
    await store.put_counted([Counted(subject, member, 1, Row(False, 9, 9)) for member in members[:40]])
    await store.put_counted([Counted(subject, member, 2, Row(False, 7, 7)) for member in members[20:60]])
    found = (await store.rows({subject: members}, {subject: 2}))[subject]
    assert [found[member].counted_at for member in members] == [9] * 40 + [7] * 20 + [5] * 60
    found = (await store.rows({subject: members}, {subject: 0}))[subject]
    assert {row.counted_at for row in found.values()} == {5}


async def test_the_state_of_a_request_at_one_level_is_seen_beside_what_is_counted_at_another(
    store: EngageStore,
) -> None:
    tweet, user = some(2)
    await store.put_counted([Counted(Subject(tweet, Kind.LIKES), user, 0, Row(True, 5, 5))])
    await set_like(store, like(tweet, user, 8, liked=False, level=1))
    assert await edge(store, tweet, user, level=1) == Row(True, 5, 5, False, 8, 8)


# Positions


async def test_a_position_is_0_at_first_and_never_goes_back(store: EngageStore) -> None:
    durable = one().hex()
    assert await store.position(durable, 3) == 0
    for place in (7, 9, 8):
        await store.put_positions([Position(durable, 3, place)])
    await store.put_positions([Position(durable, 200, 4)])
    assert await store.position(durable, 3) == 9
    assert await store.positions(durable) == {3: 9, 200: 4}
    assert await store.positions(one().hex()) == {}


# Marks


@pytest.mark.parametrize("kind", MarkKind)
async def test_a_state_that_was_never_set_is_unmarked_and_absent_among_many(store: EngageStore, kind: MarkKind) -> None:
    user, tweet = some(2)
    assert await store.mark(user, kind, tweet) == UNMARKED
    assert await store.marks(user, kind, [tweet]) == {}


async def test_likes_and_bookmarks_of_many_tweets_of_several_years_are_told_apart(store: EngageStore) -> None:
    user = one()
    tweets = [*some(120), *(tweet_of(year) for year in range(THIS_YEAR - 4, THIS_YEAR))]
    for at, tweet in enumerate(tweets[::2], start=1):
        await set_like(store, like(tweet, user, at), delta=1)
    for at, tweet in enumerate(tweets[::3], start=1):
        await set_bookmark(store, user, tweet, bookmark(at))
    likes = await store.marks(user, MarkKind.LIKE, tweets)
    assert set(likes) == set(tweets[::2])
    assert {mark.delta for mark in likes.values()} == {1}
    assert set(await store.marks(user, MarkKind.BOOKMARK, tweets)) == set(tweets[::3])
    assert await store.marks(one(), MarkKind.LIKE, tweets) == {}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
async def test_a_later_like_stays_in_all_tables_whatever_order_the_writes_come_in(
    store: EngageStore, order: tuple[int, ...]
) -> None:
    """P50: the log orders, not the clock of whoever writes."""
    tweet, user = some(2)
    states = {1: like(tweet, user, 1), 2: like(tweet, user, 2, liked=False), 3: like(tweet, user, 3)}
    for at in order:
        # Each knows nothing of the others, as in a race.
        await store_like(store, states[at], UNMARKED, 0)
    assert await store.mark(user, MarkKind.LIKE, tweet) == states[3].mark(UNMARKED, 0)
    assert await edge(store, tweet, user) == Row(present=True, at=3, since=3)
    assert await liked(store, user) == [tweet]
    assert await likers(store, tweet) == [user]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_an_unlike_stays_and_leaves_nothing_in_lists_whatever_order_the_writes_come_in(
    store: EngageStore, order: tuple[int, ...]
) -> None:
    tweet, user = some(2)
    states = {1: like(tweet, user, 1), 2: like(tweet, user, 2, liked=False)}
    for at in order:
        await store_like(store, states[at], UNMARKED, 0)
    # Read twice: what is cleared on sight stays away.
    for _ in range(2):
        assert await liked(store, user) == []
        assert await likers(store, tweet) == []
    await store_like(store, states[1], UNMARKED, 0)
    assert await liked(store, user) == []
    assert (await store.mark(user, MarkKind.LIKE, tweet)).present is False


async def test_a_like_that_is_set_again_keeps_its_place_in_both_lists_and_one_set_anew_comes_first(
    store: EngageStore,
) -> None:
    """P14: repeating what holds changes nothing; how far the rows are split by then does not matter."""
    user, other, (first, second) = one(), one(), some(2)
    await set_like(store, like(first, user, 1))
    await set_like(store, like(second, user, 2))
    await set_like(store, like(first, other, 3))
    for at, level in ((4, 0), (4, 0), (5, 1)):
        await set_like(store, like(first, user, at, level=level))
        assert await liked(store, user) == [second, first]
        assert await likers(store, first, level=1) == [other, user]
    await set_like(store, like(first, user, 6, liked=False, level=1))
    await set_like(store, like(first, user, 7, liked=False, level=1))
    assert (await liked(store, user), await likers(store, first, level=1)) == ([second], [other])
    await set_like(store, like(first, user, 8, level=1))
    assert (await liked(store, user), await likers(store, first, level=1)) == ([first, second], [user, other])


async def test_25_likes_begun_ended_set_again_and_late_leave_at_once_what_each_leaves_alone(store: EngageStore) -> None:
    tweets, alone, together, now_ms = [*some(21), *map(tweet_of, range(2021, 2025))], one(), one(), CLOCK.now_ms()
    for turn, at in enumerate((10, 20, 15, 30, 40)):
        before = await store.marks(together, MarkKind.LIKE, tweets)
        states = [like(t, together, at, bool(n >> turn & 1), int(at > 15), now_ms) for n, t in enumerate(tweets)]
        await store_likes(store, [LikeSetting(state, before.get(state.tweet_id, UNMARKED), 1) for state in states])
        for state in states:
            await set_like(store, replace(state, user_id=alone), delta=1)
        marks = [await store.marks(user, MarkKind.LIKE, tweets) for user in (together, alone)]
        assert (marks[0], await liked(store, together)) == (marks[1], await liked(store, alone))
        for tweet in tweets:
            assert await edge(store, tweet, together, 1) == await edge(store, tweet, alone, 1)
            assert len(await likers(store, tweet, level=1)) == 2 * marks[0][tweet].present


async def test_a_like_older_than_what_was_read_before_changes_nothing(store: EngageStore) -> None:
    tweet, user = some(2)
    await set_like(store, like(tweet, user, 9, liked=False))
    await set_like(store, like(tweet, user, 5))
    assert (await store.mark(user, MarkKind.LIKE, tweet)).at == 9
    assert await likers(store, tweet) == []


@pytest.mark.parametrize("order", [(10, 13), (13, 10)])
async def test_the_later_version_of_a_bookmark_stays(store: EngageStore, order: tuple[int, ...]) -> None:
    tweet, user = some(2)
    for at in order:
        await store.set_bookmark(user, tweet, UNMARKED, bookmark(at, present=bool(at & 1)))
    mark = await store.mark(user, MarkKind.BOOKMARK, tweet)
    assert (mark.present, mark.at) == (True, 13)
    assert [row.tweet_id for row in await store.list_marked(user, MarkKind.BOOKMARK, None, 10)] == [tweet]
    await set_bookmark(store, user, tweet, bookmark(14, present=False))
    assert await store.list_marked(user, MarkKind.BOOKMARK, None, 10) == []


async def test_the_newest_marks_are_complete_down_to_the_floor(store: EngageStore) -> None:
    user = one()
    old, last = tweet_of(THIS_YEAR - 2), tweet_of(THIS_YEAR - 1)
    new = some(5)
    for at, tweet in enumerate([*new, last, old], start=1):
        await set_like(store, like(tweet, user, at, liked=at != 2))
    found, floor = await store.newest_marks(user, MarkKind.LIKE, 3, THIS_YEAR)
    assert (set(found), floor) == (set(new[2:]), new[2])
    found, floor = await store.newest_marks(user, MarkKind.LIKE, 6, THIS_YEAR)
    assert (set(found), floor) == ({*new, last}, last)
    assert not found[new[1]].present
    found, floor = await store.newest_marks(user, MarkKind.LIKE, 7, THIS_YEAR)
    assert (set(found), floor) == ({*new, last}, year_begins(THIS_YEAR - 1))
    assert floor <= last > old
    assert (await store.newest_marks(one(), MarkKind.LIKE, 7, THIS_YEAR))[0] == {}


# Lists


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_pages_of_any_size_give_the_same_list_over_years_with_undone_marks_left_out(
    store: EngageStore, size: int
) -> None:
    """The account is as old as its id says."""
    user = tweet_of(THIS_YEAR - 3)
    expected: list[Placed] = []
    at = 0
    for year in range(THIS_YEAR - 3, THIS_YEAR + 1):
        ms = int(datetime.datetime(year, 1, 2, tzinfo=datetime.UTC).timestamp() * 1000)
        for tweet in some(4):
            at += 1
            await set_like(store, like(tweet, user, at, ms=ms))
            expected.append(Placed(year, at, tweet))
        at += 1
        await set_like(store, like(expected[-2].tweet_id, user, at, liked=False, ms=ms))
        del expected[-2]
    found: list[Placed] = []
    while rows := await store.list_marked(user, MarkKind.LIKE, found[-1] if found else None, size):
        found += [row.place for row in rows]
        if len(rows) < size:
            break
    assert found == expected[::-1]


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_likers_of_a_tweet_that_was_split_are_listed_minute_by_minute_and_then_those_of_before(
    store: EngageStore, size: int
) -> None:
    tweet, users, now_ms = one(), some(12), 30_000_000 * MINUTE_MS
    for at, user in enumerate(users, start=1):
        level, minute = (0, 0) if at <= 4 else (1, at // 3)
        await set_like(store, like(tweet, user, at, level=level, ms=now_ms + minute * MINUTE_MS))
    await set_like(store, like(tweet, users[1], 20, liked=False, level=1, ms=now_ms))
    await set_like(store, like(tweet, users[10], 21, liked=False, level=1, ms=now_ms))
    expected = [user for user in users[::-1] if user not in (users[1], users[10])]
    found: list[PlacedLiker] = []
    while rows := await store.list_likers(tweet, 1, found[-1] if found else None, size):
        found += rows
        if len(rows) < size:
            break
    assert [row.user_id for row in found] == expected


async def test_an_entry_of_a_list_tells_author_and_time(store: EngageStore) -> None:
    user, tweet = some(2)
    await set_like(store, like(tweet, user, 1, ms=CLOCK.now_ms() - 5))
    [row] = await store.list_marked(user, MarkKind.LIKE, None, 10)
    assert row.author_id == b"a" * 16
    assert 0 < CLOCK.now_ms() - row.marked_ms < 60_000
    assert await store.list_marked(one(), MarkKind.LIKE, None, 10) == []
    assert await likers(store, one()) == []
