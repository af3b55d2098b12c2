"""What a viewer did lately, laid over counts: in every order of states, of what was counted and of what was written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product

import pytest

from readers.recent import (
    BOOKMARK,
    DELETED_TWEET,
    FOLLOW,
    LIKE,
    LIKING,
    OWN_TWEET,
    OwnBookmark,
    OwnFollow,
    OwnLike,
    tweet_value,
)
from svc_engage.domain.overlay import OwnState, Stated, counted_of, latest, missing_in, own_recent, with_mark

TWEET, OTHER = b"t" * 16, b"o" * 16


@dataclass(frozen=True)
class Set:
    """A state that a viewer set: its version, and its place in the log."""

    present: bool
    version: int
    place: int


def counted(states: Sequence[Set], as_of: int, at_first: bool) -> bool:
    """What a count that goes up to `as_of` has of the member: the greatest version among the states up to there."""
    read = [one for one in states if one.place <= as_of]
    return max(read, key=lambda one: one.version).present if read else at_first


def recorded(states: Sequence[Set], at_first: bool) -> list[OwnState]:
    """What requests that followed one another wrote down, newest first."""
    before, since, written = at_first, 0, []
    for one in states:
        written.append(OwnState(one.present, before, one.place, one.version, since))
        before, since = one.present, one.place
    return written[::-1]


def test_a_count_with_the_viewers_own_likes_is_right_wherever_it_ends_or_the_rows_are_asked() -> None:
    """P53: up to four states, counted up to anywhere, whichever of them were lost on the way."""
    for number in range(1, 5):
        for presents, at_first in product(product((False, True), repeat=number), (False, True)):
            states = [Set(present, n, n) for n, present in enumerate(presents, 1)]
            for kept in product((False, True), repeat=number - 1):
                # The last one at least is known as a mark.
                own = [one for one, known in zip(recorded(states, at_first), (True, *kept), strict=True) if known]
                for as_of in range(number + 1):
                    lacks = missing_in(as_of, own)
                    right = states[-1].present - counted(states, as_of, at_first)
                    assert lacks == right or (lacks is None and not all(kept)), (states, own, as_of)


def test_likes_that_were_set_at_once_are_right_although_none_saw_another() -> None:
    """P52, P53: who likes a tweet twice at the same moment never sees two likes."""
    for presents, at_first in product(product((False, True), repeat=3), (False, True)):
        states = [Set(present, n, n) for n, present in enumerate(presents, 1)]
        own = [OwnState(one.present, at_first, one.place, one.version) for one in states]
        for as_of in range(4):
            assert missing_in(as_of, own) == states[-1].present - counted(states, as_of, at_first), (own, as_of)


def test_own_follows_are_right_in_every_order_of_the_log_or_the_rows_are_asked() -> None:
    for number in range(1, 5):
        for first, places in product((1, -1), permutations(range(1, number + 1))):
            deltas = [first * (-1) ** n for n in range(number)]
            writes = [
                (FOLLOW, OwnFollow(OTHER, delta, place, place, n).packed())
                for n, (delta, place) in enumerate(zip(deltas, places, strict=True), 1)
            ]
            states = [Set(delta > 0, n, place) for n, (delta, place) in enumerate(zip(deltas, places, strict=True), 1)]
            own = own_recent(writes[::-1]).following[OTHER]
            for as_of in range(number + 1):
                right = states[-1].present - counted(states, as_of, first < 0)
                # What was before the first of them may not be counted either.
                assert missing_in(as_of, own) == right or (missing_in(as_of, own) is None and places[0] > as_of)


def test_the_order_in_which_states_were_written_down_does_not_matter() -> None:
    states = [Set(True, 1, 2), Set(False, 2, 3), Set(True, 3, 5)]
    own = recorded(states, False)
    for order in permutations(own):
        assert [missing_in(as_of, order) for as_of in range(6)] == [missing_in(as_of, own) for as_of in range(6)]


def test_two_likes_at_the_same_time_that_both_saw_none_before_count_once() -> None:
    """P52: each would add one by itself."""
    own = [OwnState(True, False, 11, 11), OwnState(True, False, 10, 10)]
    assert [missing_in(as_of, own) for as_of in (9, 11)] == [1, 0]


def test_nothing_is_said_when_a_place_is_not_known() -> None:
    assert missing_in(5, [OwnState(True, False, 0, 3)]) is None
    after_it = [OwnState(False, True, 4, 4), OwnState(True, False, 0, 3)]
    assert [missing_in(as_of, after_it) for as_of in (3, 4)] == [None, 0]


def test_a_mark_alone_tells_nothing_of_a_count_that_ends_before_it() -> None:
    own = with_mark([], Stated(True, 10))
    assert (missing_in(10, own), missing_in(9, own)) == (0, None)


@pytest.mark.parametrize("as_of", [0, 9, 10, 19, 20])
def test_a_mark_whose_like_was_not_written_down_follows_what_nobody_remembers(as_of: int) -> None:
    own = with_mark([OwnState(True, False, 10, 10)], Stated(False, 20))
    # From 10 to 19 the count may have any number of changes that nobody remembers.
    assert missing_in(as_of, own) == (None if 10 <= as_of < 20 else 0)


def test_a_mark_that_was_written_down_is_there_once() -> None:
    own = [OwnState(True, False, 10, 10)]
    assert with_mark(own, Stated(True, 10)) == own
    assert with_mark(own, Stated()) == own


def test_what_was_written_down_is_sorted_by_what_it_is_about() -> None:
    recent = own_recent(
        [
            (LIKE, OwnLike(TWEET, False, -1, 30, 10).packed()),
            (LIKE, OwnLike(OTHER, True, 0, 20, 15).packed()),
            (LIKE, OwnLike(TWEET, True, 1, 10, 0).packed()),
            (BOOKMARK, OwnBookmark(TWEET, False, 7).packed()),
            (BOOKMARK, OwnBookmark(TWEET, True, 8).packed()),
            (FOLLOW, OwnFollow(OTHER, -1, 5, 6, 2).packed()),
            (FOLLOW, OwnFollow(OTHER, 1, 3, 4, 1).packed()),
            (b"?", b"of later writers"),
        ]
    )
    assert [one.before for one in recent.likes[TWEET]] == [True, False]
    assert recent.likes[OTHER] == [OwnState(True, True, 20, 20, 15)]
    assert recent.bookmarks == {TWEET: Stated(True, 8)}
    assert recent.following[OTHER] == [OwnState(True, None, 3, 1), OwnState(False, True, 5, 2, 3)]
    assert recent.followers[OTHER] == [OwnState(True, None, 4, 1), OwnState(False, True, 6, 2, 4)]
    assert latest(recent.likes[TWEET]).present is False


def test_what_a_like_followed_is_not_certain_while_another_was_begun_that_nobody_remembers() -> None:
    """P52: a process died between announcing a like and writing it down; the count may end between that and the next try."""
    begun, liked = (LIKING, TWEET), (LIKE, OwnLike(TWEET, True, 1, 20, 0).packed())
    assert [missing_in(as_of, own_recent([liked, begun]).likes[TWEET]) for as_of in (10, 20)] == [1, 0]
    assert [missing_in(as_of, own_recent([liked, begun, begun]).likes[TWEET]) for as_of in (10, 20)] == [None, 0]
    assert own_recent([begun]).likes.get(TWEET) is None
    other = (LIKE, OwnLike(OTHER, True, 1, 20, 0).packed())
    assert missing_in(10, own_recent([other, begun, begun]).likes[OTHER]) == 1


def test_an_own_state_is_counted_although_its_row_is_not_written_yet() -> None:
    """P52: the owner could not write on after the count."""
    own = [OwnState(True, None, 30, 30), OwnState(True, None, 20, 20), OwnState(False, None, 10, 10)]
    assert counted_of(20, own, counted=False, version=10) is True
    assert counted_of(15, own, counted=True, version=5) is False
    # What the row has is later than what is remembered, or nothing is.
    assert counted_of(25, own, counted=False, version=22) is False
    assert counted_of(5, own, counted=True, version=3) is True


def test_own_tweets_count_until_they_are_deleted_whichever_is_counted_first() -> None:
    """P18: a deletion that stands before the creation in the log, or whose creation was long ago."""
    for created, deleted in ((10, 20), (20, 10)):
        writes = [(DELETED_TWEET, tweet_value(TWEET, deleted)), (OWN_TWEET, tweet_value(TWEET, created))]
        own = own_recent(writes).tweets[TWEET]
        states = [Set(True, 1, created), Set(False, 2, deleted)]
        for as_of in (5, 10, 15, 20):
            assert counted(states, as_of, False) + (missing_in(as_of, own) or 0) == 0
    old = own_recent([(DELETED_TWEET, tweet_value(TWEET, 20))]).tweets[TWEET]
    assert [missing_in(as_of, old) for as_of in (19, 20)] == [None, 0]


def test_a_tweet_of_an_older_writer_has_no_place() -> None:
    assert missing_in(5, own_recent([(OWN_TWEET, TWEET)]).tweets[TWEET]) is None
