"""The audit of counts names every count that is not that of its list, and every member that only one of two lists has."""

import random
import uuid
from collections.abc import Sequence

import pytest

from ops.audit.audit import in_sample
from ops.audit.counts import CountReport, Counts, Difference, audit_counts, described
from ops.audit.oracle import Authored

ALICE, BOB, CAROL = PEOPLE = [uuid.UUID(int=i).bytes for i in (1, 2, 3)]
NAMES = dict(zip(PEOPLE, ("alice", "bob", "carol"), strict=True))
OLD, NEW, GONE = TWEETS = [uuid.UUID(int=i).bytes for i in (11, 12, 13)]


class Stack:
    """Three people who follow, post and like; a test falsifies a part."""

    def __init__(self) -> None:
        self.likes = {OLD: [CAROL, BOB], NEW: [ALICE], GONE: []}
        self.liked_by = {ALICE: [NEW], BOB: [OLD], CAROL: [OLD]}
        self.followers_of = {ALICE: [BOB, CAROL], BOB: [ALICE], CAROL: []}
        self.follows_of = {ALICE: [BOB], BOB: [ALICE], CAROL: [ALICE]}
        self.posted = {ALICE: Authored([OLD, GONE], frozenset({GONE})), BOB: Authored([NEW], frozenset())}
        self.counts = {
            **{tweet: {"likes": len(self.likes[tweet]), "retweets": 0, "replies": 0, "quotes": 0} for tweet in TWEETS},
            ALICE: {"followers": 2, "following": 1, "tweets": 1},
            BOB: {"followers": 1, "following": 1, "tweets": 1},
            CAROL: {"followers": 0, "following": 1, "tweets": 0},
        }
        self.letters = 0
        self.looks: list[float] = []

    async def settled(self, within_s: float) -> int:
        self.looks.append(within_s)
        return 0

    async def dead_letters(self) -> int:
        return self.letters

    async def users(self) -> dict[bytes, str]:
        return NAMES

    async def authored(self, author: bytes) -> Authored:
        return self.posted.get(author, Authored([], frozenset()))

    async def tweet_counts(self, tweets: Sequence[bytes]) -> dict[bytes, Counts]:
        return {tweet: dict(self.counts[tweet]) for tweet in tweets}

    async def user_counts(self, users: Sequence[bytes]) -> dict[bytes, Counts]:
        return {user: dict(self.counts[user]) for user in users}

    async def likers(self, tweet: bytes) -> Sequence[bytes]:
        return list(self.likes[tweet])

    async def liked(self, user: bytes) -> Sequence[bytes]:
        return list(self.liked_by[user])

    async def followers(self, user: bytes) -> Sequence[bytes]:
        return list(self.followers_of[user])

    async def following(self, user: bytes) -> Sequence[bytes]:
        return list(self.follows_of[user])


async def audited(stack: Stack) -> CountReport:
    return await audit_counts(stack, 100)


async def test_a_stack_whose_counts_are_those_of_its_lists_is_clean_at_the_first_look() -> None:
    stack = Stack()
    report = await audited(stack)
    assert report.clean
    assert (report.tweets, report.people, report.counts) == (3, 3, 4 * 3 + 3 * 3)
    assert len(stack.looks) == 1


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize(
    ("subject", "kind"),
    [(key, kind) for key in (OLD, NEW) for kind in ("likes", "retweets", "replies", "quotes")]
    + [(key, kind) for key in PEOPLE for kind in ("followers", "following", "tweets")],
)
async def test_one_count_falsified_is_named(subject: bytes, kind: str, by: int) -> None:
    stack = Stack()
    right = stack.counts[subject][kind]
    stack.counts[subject][kind] = right + by
    report = await audited(stack)
    assert report.differences == [Difference(kind, subject, counted=right + by, listed=right)]
    assert not report.clean


async def test_the_count_of_a_deleted_tweets_likes_is_judged_too() -> None:
    stack = Stack()
    stack.counts[GONE]["likes"] = 1
    assert (await audited(stack)).differences == [Difference("likes", GONE, counted=1, listed=0)]


@pytest.mark.parametrize("member", [BOB, CAROL])
async def test_a_row_removed_from_a_list_is_named_by_the_count_and_by_the_other_list(member: bytes) -> None:
    stack = Stack()
    stack.likes[OLD].remove(member)
    stack.followers_of[ALICE].remove(member)
    report = await audited(stack)
    assert set(report.differences) == {
        Difference("likes", OLD, counted=2, listed=1),
        Difference("liked", member, OLD),
        Difference("followers", ALICE, counted=2, listed=1),
        Difference("following", member, ALICE),
    }


async def test_a_row_added_to_a_list_is_named_by_the_count_and_as_lacking_in_the_other_list() -> None:
    stack = Stack()
    stack.likes[NEW].append(CAROL)
    stack.follows_of[BOB].append(CAROL)
    report = await audited(stack)
    assert set(report.differences) == {
        Difference("likes", NEW, counted=1, listed=2),
        Difference("likes", NEW, CAROL),
        Difference("following", BOB, counted=1, listed=2),
        Difference("following", BOB, CAROL),
    }


async def test_a_row_that_stands_twice_is_named() -> None:
    stack = Stack()
    stack.likes[OLD].append(BOB)
    assert (await audited(stack)).differences == [Difference("likes", OLD, counted=2, listed=3)]


async def test_a_tweet_missing_in_its_authors_list_makes_the_count_wrong() -> None:
    stack = Stack()
    stack.posted[BOB] = Authored([NEW], frozenset({NEW}))
    assert (await audited(stack)).differences == [Difference("tweets", BOB, counted=1, listed=0)]


async def test_any_two_falsifications_are_both_named() -> None:
    dice = random.Random(7)
    for _ in range(50):
        stack = Stack()
        places = [(key, kind) for key, counts in stack.counts.items() for kind in counts]
        falsified = dice.sample(places, 2)
        for key, kind in falsified:
            stack.counts[key][kind] += dice.randint(1, 9)
        assert {(d.subject, d.kind) for d in (await audited(stack)).differences} == set(falsified)


class Moving(Stack):
    """A stack on which somebody's like is still on its way at the first look."""

    def __init__(self, right_at: int) -> None:
        super().__init__()
        self.right_at = right_at
        self.counts[OLD]["likes"] = 1

    async def settled(self, within_s: float) -> int:
        if len(self.looks) == self.right_at:
            self.counts[OLD]["likes"] = 2
        return await super().settled(within_s)


@pytest.mark.parametrize("look", [1, 2])
async def test_what_was_only_on_its_way_at_one_look_is_no_difference(look: int) -> None:
    assert (await audited(Moving(look))).clean


async def test_what_is_wrong_at_every_look_is_reported() -> None:
    assert not (await audited(Moving(3))).clean


class Busy(Stack):
    """A stack on which a like is counted between the reading of a count and of its list."""

    async def likers(self, tweet: bytes) -> Sequence[bytes]:
        if len(self.likes[OLD]) == 2:
            self.likes[OLD].append(ALICE)
            self.liked_by[ALICE].append(OLD)
            self.counts[OLD]["likes"] = 3
        return await super().likers(tweet)


async def test_a_count_that_moves_while_its_list_is_read_may_be_either() -> None:
    stack = Busy()
    assert (await audited(stack)).clean
    assert len(stack.looks) == 1


async def test_a_dead_letter_makes_it_unclean() -> None:
    stack = Stack()
    stack.letters = 1
    assert not (await audited(stack)).clean


async def test_a_sample_judges_only_what_belongs_to_it() -> None:
    stack = Stack()
    for counts in stack.counts.values():
        for kind in counts:
            counts[kind] += 1
    report = await audit_counts(stack, 60)
    chosen = {key for key in (*PEOPLE, *TWEETS) if in_sample(key, 60)}
    assert 0 < len(chosen) < 6
    assert {difference.subject for difference in report.differences} == chosen


async def test_a_difference_is_told_with_names() -> None:
    stack = Stack()
    stack.counts[ALICE]["followers"] = 7
    stack.liked_by[BOB].remove(OLD)
    tweet = f"tweet {uuid.UUID(bytes=OLD)}"
    assert set(described(await audited(stack))) == {
        "followers of alice: 7 counted, 2 listed",
        f"likes of {tweet}: bob is listed, but {tweet} is not in liked of bob",
    }
