"""How own writes are packed, and what readers make of them."""

import os

from readers.recent import (
    BOOKMARK,
    DELETED_TWEET,
    FOLLOW,
    GRAPH_VERSION,
    LIKE,
    LIKING,
    OWN_TWEET,
    PROFILE,
    Own,
    OwnBookmark,
    OwnFollow,
    OwnLike,
    RecentWrites,
    tweet_value,
)

PLACE = 1_790_000_000_000_000
A, B = os.urandom(16), os.urandom(16)


def test_every_kind_is_read_as_it_was_written() -> None:
    follow, unfollow = OwnFollow(A, 1, PLACE, PLACE + 1, 6), OwnFollow(A, -1, PLACE + 2, PLACE + 3, 7)
    like, bookmark = OwnLike(B, False, -1, PLACE, PLACE - 1), OwnBookmark(B, True, 5)
    writes = [(FOLLOW, unfollow.packed()), (FOLLOW, follow.packed()), (LIKE, like.packed())]
    writes += [
        (BOOKMARK, bookmark.packed()),
        (OWN_TWEET, tweet_value(A, PLACE)),
        (DELETED_TWEET, tweet_value(B, PLACE)),
    ]
    writes += (
        [(GRAPH_VERSION, n.to_bytes(8)) for n in (5, 7, 6)]
        + [(LIKING, A)] * 2
        + [(PROFILE, n.to_bytes(8)) for n in (3, 9, 4)]
    )
    own = Own.of(RecentWrites.parse([kind + value for kind, value in writes]))
    assert own == Own({A: PLACE}, {B: PLACE}, 7, [unfollow, follow], [like], [bookmark], {A: 2}, 9)


def test_a_write_that_was_recorded_again_counts_once_with_the_place_that_one_of_them_knows() -> None:
    known, unknown = OwnFollow(A, 1, PLACE, PLACE + 1, 6), OwnFollow(A, 1, 0, 0, 6)
    for first, second in ((known, unknown), (unknown, known)):
        assert Own.of([(FOLLOW, first.packed()), (FOLLOW, second.packed())]).follows == [known]
    like = (LIKE, OwnLike(B, True, 1, PLACE, 0).packed())
    assert len(Own.of([like, like]).likes) == 1
    assert Own.of([(OWN_TWEET, tweet_value(A, 0)), (OWN_TWEET, tweet_value(A, PLACE))]).tweets == {A: PLACE}


def test_values_of_older_and_newer_processes_are_read_too() -> None:
    newer = OwnLike(B, True, 1, PLACE, 0).packed() + b"more"
    own = Own.of([(OWN_TWEET, A), (b"?", b"of a kind that comes later"), (LIKE, newer)])
    assert (own.tweets, own.likes) == ({A: 0}, [OwnLike(B, True, 1, PLACE, 0)])
