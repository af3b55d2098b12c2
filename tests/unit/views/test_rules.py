"""Rules are pure: they keep the order, hide what they name, and nothing else."""

from aviary.user.v1 import user_pb2
from hypothesis import given
from hypothesis import strategies as st

from views.feeds import HOME_RULES
from views.items import Author, CachedTweet, Item, State
from views.rules import drop_dangling, drop_deleted, drop_unfollowed, visible

ME, FRIEND, STRANGER = (c * 16 for c in (b"m", b"f", b"s"))
IDS = [bytes([n]) * 16 for n in range(8)]


def state(deleted: set[bytes], stored_deleted: set[bytes], missing: set[bytes], follows: set[bytes]) -> State:
    tweets = {
        i: CachedTweet(AUTHORS[n % 3], b"", i in stored_deleted, 1) for n, i in enumerate(IDS) if i not in missing
    }
    authors = {a: Author(user_pb2.User(), 0) for a in AUTHORS}
    return State(ME, tweets, authors, deleted, follows)


AUTHORS = [ME, FRIEND, STRANGER]
ITEMS = [Item(i, AUTHORS[n % 3]) for n, i in enumerate(IDS)]
some = st.sets(st.sampled_from(IDS))


@given(some, some, some, st.sets(st.sampled_from(AUTHORS)))
def test_what_is_kept_is_exactly_what_no_rule_names(a: set[bytes], b: set[bytes], c: set[bytes], f: set[bytes]) -> None:
    kept = visible(ITEMS, state(a, b, c, f), HOME_RULES)
    assert kept == [i for i in ITEMS if i.tweet_id not in a | b | c and (i.author_id in f or i.author_id == ME)]


def test_each_rule_hides_its_own() -> None:
    seen = state({IDS[0]}, {IDS[1]}, {IDS[2]}, {FRIEND})
    assert [i.tweet_id for i in drop_deleted(ITEMS, seen)] == IDS[2:]
    assert [i.tweet_id for i in drop_dangling(ITEMS, seen)] == [i for i in IDS if i != IDS[2]]
    assert {i.author_id for i in drop_unfollowed(ITEMS, seen)} == {ME, FRIEND}


def test_an_entry_that_names_another_author_than_its_tweet_is_dangling() -> None:
    assert drop_dangling([Item(IDS[0], FRIEND)], state(set(), set(), set(), set())) == []


def test_rules_do_not_change_what_they_are_given() -> None:
    items = list(ITEMS)
    visible(items, state({IDS[0]}, set(), set(), set()), HOME_RULES)
    assert items == ITEMS
