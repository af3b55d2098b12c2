"""The oracle says what a home must and may hold; the audit names every entry that differs."""

import uuid
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.audit.audit import audit, in_sample
from ops.audit.facts import Backlog
from ops.audit.oracle import Authored, Bounds, Problem, expected_home, judge
from runtime.ids import uuid7_of

NOW = 1_800_000_000_000
DAY = 24 * 3600 * 1000
READER, AUTHOR, STRANGER = (uuid.UUID(int=i).bytes for i in (1, 2, 3))
BOUNDS = Bounds(NOW - 30 * DAY, NOW - 1000)


def tweet(age_ms: int, rand: int = 0) -> bytes:
    return uuid7_of(NOW - age_ms, rand).bytes


def authored(*ids: bytes, deleted: Sequence[bytes] = ()) -> Authored:
    return Authored(sorted(ids), frozenset(deleted))


def expected(tweets: Authored, followed_ms: int = NOW - 20 * DAY) -> tuple[frozenset[bytes], frozenset[bytes]]:
    home = expected_home(READER, {AUTHOR: followed_ms}, {AUTHOR: tweets}, BOUNDS)
    return home.must, home.may


def test_a_tweet_after_the_follow_must_be_held() -> None:
    assert expected(authored(tweet(DAY)))[0] == {tweet(DAY)}


def test_the_readers_own_tweets_must_be_held() -> None:
    home = expected_home(READER, {}, {READER: authored(tweet(DAY))}, BOUNDS)
    assert home.must == {tweet(DAY)}


def test_a_strangers_tweet_may_not_be_held() -> None:
    home = expected_home(READER, {}, {STRANGER: authored(tweet(DAY))}, BOUNDS)
    assert not home.may


def test_a_tweet_within_ten_seconds_of_the_follow_may_be_held_but_need_not() -> None:
    must, may = expected(authored(tweet(DAY)), followed_ms=NOW - DAY - 5000)
    assert (must, may) == (frozenset(), {tweet(DAY)})


def test_of_the_tweets_before_the_follow_the_50_newest_must_be_held() -> None:
    ids = [tweet(10 * DAY + i) for i in range(60)]
    must, may = expected(authored(*ids), followed_ms=NOW - DAY)
    assert (must, may) == (set(ids[:50]), set(ids))


def test_deleted_tweets_take_their_place_in_the_backfill_and_may_not_be_held() -> None:
    ids = [tweet(10 * DAY + i) for i in range(60)]
    must, may = expected(authored(*ids, deleted=ids[:10]), followed_ms=NOW - DAY)
    assert must == set(ids[10:50])
    assert may == set(ids[10:])


def test_what_is_older_than_the_depth_or_newer_than_the_lag_need_not_be_held() -> None:
    must, may = expected(authored(tweet(31 * DAY), tweet(10)), followed_ms=NOW - 40 * DAY)
    assert (must, may) == (frozenset(), {tweet(31 * DAY), tweet(10)})


HOME = sorted((tweet(DAY + i) for i in range(8)), reverse=True)


def problems(home: list[bytes]) -> list[Problem]:
    return judge("alice", home, expected_home(READER, {AUTHOR: NOW - 20 * DAY}, {AUTHOR: authored(*HOME)}, BOUNDS))


def test_a_right_home_has_no_problem() -> None:
    assert problems(HOME) == []


@pytest.mark.parametrize("position", range(8))
def test_one_entry_removed_is_named(position: int) -> None:
    home = HOME[:position] + HOME[position + 1 :]
    assert problems(home) == [Problem("missing", "alice", HOME[position])]


@pytest.mark.parametrize("position", range(8))
def test_one_entry_doubled_is_named(position: int) -> None:
    home = [*HOME[: position + 1], HOME[position], *HOME[position + 1 :]]
    assert problems(home) == [Problem("doubled", "alice", HOME[position])]


@pytest.mark.parametrize("position", range(7))
def test_two_entries_swapped_are_named(position: int) -> None:
    home = [*HOME[:position], HOME[position + 1], HOME[position], *HOME[position + 2 :]]
    assert problems(home) == [Problem("misordered", "alice", HOME[position])]


@pytest.mark.parametrize("position", range(9))
def test_one_entry_added_is_named(position: int) -> None:
    added = uuid7_of(NOW - DAY - position, 1).bytes
    home = sorted([*HOME, added], reverse=True)
    assert problems(home) == [Problem("foreign", "alice", added)]


@given(st.permutations(HOME))
def test_any_disorder_is_noticed(home: list[bytes]) -> None:
    assert bool(problems(home)) == (home != HOME)


class Source:
    """A stack of one reader whose home changes between the first look and the second."""

    def __init__(self, homes: list[list[bytes]], dead_letters: int = 0) -> None:
        self.homes = homes
        self.dead_letters = dead_letters
        self.hidden: dict[str, set[bytes]] = {"suspended": set(), "muted": set()}

    async def backlog(self) -> Backlog:
        return Backlog(0, self.dead_letters)

    async def users(self) -> dict[bytes, str]:
        return {READER: "alice"}

    async def suspended(self) -> set[bytes]:
        return self.hidden["suspended"]

    async def muted(self, reader: bytes) -> set[bytes]:
        return self.hidden["muted"]

    async def follows(self, reader: bytes) -> dict[bytes, int]:
        return {AUTHOR: NOW - 20 * DAY}

    async def authored(self, author: bytes) -> Authored:
        return authored(*HOME) if author == AUTHOR else authored()

    async def home(self, reader: bytes) -> list[bytes]:
        return self.homes.pop(0)


async def test_what_was_only_on_its_way_at_the_first_look_is_no_problem() -> None:
    report = await audit(Source([HOME[1:], HOME]), lambda: NOW, 100)
    assert report.clean


async def test_what_is_wrong_at_both_looks_is_reported() -> None:
    report = await audit(Source([HOME[1:], HOME[1:]]), lambda: NOW, 100)
    assert report.problems == [Problem("missing", "alice", HOME[0])]
    assert not report.clean


@pytest.mark.parametrize("how", ["suspended", "muted"])
async def test_a_home_must_not_hold_who_is_hidden(how: str) -> None:
    source = Source([HOME, HOME])
    source.hidden[how] = {AUTHOR}
    report = await audit(source, lambda: NOW, 100)
    assert {problem.kind for problem in report.problems} == {"foreign"}
    source.homes = [[]]
    assert (await audit(source, lambda: NOW, 100)).clean


async def test_who_is_suspended_has_no_home() -> None:
    source = Source([])
    source.hidden["suspended"] = {READER}
    assert (await audit(source, lambda: NOW, 100)).homes == 0


async def test_a_dead_letter_breaks_completeness() -> None:
    report = await audit(Source([HOME], dead_letters=1), lambda: NOW, 100)
    assert not report.clean


def test_a_sample_holds_about_its_share_and_always_the_same_readers() -> None:
    users = [uuid.UUID(int=i).bytes for i in range(2000)]
    chosen = [u for u in users if in_sample(u, 10)]
    assert 120 < len(chosen) < 280
    assert chosen == [u for u in users if in_sample(u, 10)]
    assert all(in_sample(u, 100) for u in users)
