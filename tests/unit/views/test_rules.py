"""Rules are pure: they keep the order, hide what they name, and nothing else."""

from collections.abc import Sequence

import pytest
from aviary.user.v1 import user_pb2
from hypothesis import given
from hypothesis import strategies as st

from accounts import Account
from relations.snapshot import EVERYTHING, NOBODY, Sight
from views.items import CachedTweet, Item, State
from views.rules import (
    HOME_RULES,
    LIKED_RULES,
    NAMED_RULES,
    Rule,
    drop_apart,
    drop_dangling,
    drop_deleted,
    drop_muted,
    drop_suspended,
    drop_unfollowed,
    shown_people,
    visible,
)

ME, FRIEND, STRANGER = (c * 16 for c in (b"m", b"f", b"s"))
AUTHORS = [ME, FRIEND, STRANGER]
OTHERS = [FRIEND, STRANGER]
IDS = [bytes([n]) * 16 for n in range(8)]
ITEMS = [Item(i, AUTHORS[n % 3]) for n, i in enumerate(IDS)]


def state(
    deleted: set[bytes] | None = None,
    stored_deleted: Sequence[bytes] = (),
    missing: Sequence[bytes] = (),
    suspended: Sequence[bytes] = (),
    sight: Sight = EVERYTHING,
) -> State:
    tweets = {
        i: CachedTweet(AUTHORS[n % 3], b"", i in stored_deleted, 1) for n, i in enumerate(IDS) if i not in missing
    }
    authors = {a: Account(user_pb2.User(), 0, hidden=a in suspended) for a in AUTHORS}
    return State(ME, tweets, authors, deleted or set(), sight)


some = st.sets(st.sampled_from(IDS))
people = st.sets(st.sampled_from(OTHERS))


@given(some, some, some, st.sets(st.sampled_from(AUTHORS)), people, people, people)
def test_what_is_kept_is_exactly_what_no_rule_names(
    a: set[bytes],
    b: set[bytes],
    c: set[bytes],
    s: set[bytes],
    follows: set[bytes],
    apart: set[bytes],
    muted: set[bytes],
) -> None:
    seen = state(a, list(b), list(c), list(s), Sight(follows, apart, muted))
    named = [i for i in ITEMS if i.tweet_id not in a | b | c and i.author_id not in s | apart]
    assert visible(ITEMS, seen, NAMED_RULES) == named
    assert visible(ITEMS, seen, LIKED_RULES) == [i for i in named if i.author_id not in muted]
    assert visible(ITEMS, seen, HOME_RULES) == [
        i for i in named if i.author_id not in muted and i.author_id in follows | {ME}
    ]


def test_each_rule_hides_its_own() -> None:
    seen = state({IDS[0]}, [IDS[1]], [IDS[2]])
    assert [i.tweet_id for i in drop_deleted(ITEMS, seen)] == IDS[2:]
    assert [i.tweet_id for i in drop_dangling(ITEMS, seen)] == [i for i in IDS if i != IDS[2]]


@pytest.mark.parametrize(
    ("rule", "seen", "left"),
    [
        (drop_unfollowed, state(sight=Sight({FRIEND}, NOBODY, NOBODY)), {ME, FRIEND}),
        (drop_apart, state(sight=Sight(NOBODY, {FRIEND}, NOBODY)), {ME, STRANGER}),
        (drop_muted, state(sight=Sight(NOBODY, NOBODY, {FRIEND})), {ME, STRANGER}),
        (drop_suspended, state(suspended=[FRIEND]), {ME, STRANGER}),
    ],
)
def test_each_rule_about_people_hides_its_own(rule: Rule, seen: State, left: set[bytes]) -> None:
    """P44"""
    assert {i.author_id for i in rule(ITEMS, seen)} == left


def test_an_entry_that_names_another_author_than_its_tweet_is_dangling() -> None:
    assert drop_dangling([Item(IDS[0], FRIEND)], state()) == []


def test_rules_do_not_change_what_they_are_given() -> None:
    items = list(ITEMS)
    visible(items, state({IDS[0]}, sight=Sight(NOBODY, {FRIEND}, {STRANGER})), HOME_RULES)
    assert items == ITEMS


@given(st.sets(st.sampled_from(AUTHORS)), people, people, st.booleans())
def test_a_list_of_people_keeps_its_order_and_whom_the_viewer_may_see(
    suspended: set[bytes], apart: set[bytes], muted: set[bytes], with_muted: bool
) -> None:
    """P44"""
    users = state(suspended=list(suspended)).authors
    asked = [STRANGER, b"nobody".ljust(16), ME, FRIEND]
    shown = shown_people(asked, users, Sight(NOBODY, apart, muted), muted=with_muted)
    hidden = suspended | apart | (set() if with_muted else muted)
    assert shown == [users[i] for i in asked if i in users and i not in hidden]
