"""Unlike: the inverse of like, harmless where nothing is liked."""

import itertools

import pytest
from aviary.engage.v1.engage_pb2 import UnlikeRequest

from svc_engage.domain.marks import MarkKind
from tests.unit.svc_engage.engage import START, Engage, refusal


async def test_an_unlike_leaves_both_lists_and_is_announced(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.like(alice, tweet)
    assert await engage.unlike(alice, tweet) == 0
    assert [event.liked for event in engage.published()] == [True, False]
    assert await engage.store.list_marked(alice.bytes, MarkKind.LIKE, None, 10) == []
    assert await engage.store.list_likers(tweet.bytes, 0, None, 10) == []
    mark = await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)
    assert (mark.present, mark.at, mark.delta) == (False, START + 2, -1)


async def test_unliking_what_is_not_liked_changes_no_count(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.counted(tweet, 7, as_of=0)
    assert [await engage.unlike(alice, tweet) for _ in range(2)] == [7, 7]


@pytest.mark.parametrize("calls", list(itertools.product([True, False], repeat=3)), ids=str)
async def test_any_order_of_likes_and_unlikes_ends_in_the_state_of_the_last(
    engage: Engage, calls: tuple[bool, ...]
) -> None:
    """P14, P50: a client that repeats what it is not sure of."""
    alice, bob, tweet = engage.user(), engage.user(), engage.tweet()
    await engage.like(bob, tweet)
    await engage.counted(tweet, 1, as_of=1)
    for liked in calls:
        await (engage.like if liked else engage.unlike)(alice, tweet)
    listed = [row.tweet_id for row in await engage.store.list_marked(alice.bytes, MarkKind.LIKE, None, 10)]
    assert listed == [tweet.bytes] * calls[-1]
    likers = [row.user_id for row in await engage.store.list_likers(tweet.bytes, 0, None, 10)]
    assert likers == [alice.bytes] * calls[-1] + [bob.bytes]
    assert [event.liked for event in engage.published()][1:] == list(calls)


async def test_the_count_in_the_answer_is_that_without_the_own_like(engage: Engage) -> None:
    """P53: whether the like was counted when the unlike came or not."""
    alice, tweet = engage.user(), engage.tweet()
    await engage.counted(tweet, 10, as_of=0)
    assert await engage.like(alice, tweet) == 11
    assert await engage.unlike(alice, tweet) == 10
    assert await engage.like(alice, tweet) == 11
    await engage.counted(tweet, 11, as_of=3)
    await engage.settle(tweet, alice, True, at=3)
    assert await engage.unlike(alice, tweet) == 10


async def test_a_deleted_tweet_cannot_be_unliked(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.like(alice, tweet)
    await engage.delete(tweet)
    with engage.acting(alice):
        error = await refusal(engage.stub.Unlike(UnlikeRequest(tweet_id=str(tweet))))
    assert error.reason == "TWEET_NOT_FOUND"


async def test_anonymous_callers_and_tokens_without_the_scope_are_refused(engage: Engage) -> None:
    request = UnlikeRequest(tweet_id=str(engage.tweet()))
    with engage.acting(None):
        assert (await refusal(engage.stub.Unlike(request))).reason == "TOKEN_MISSING"
    with engage.acting(engage.user(), scopes=("read",)):
        assert (await refusal(engage.stub.Unlike(request))).reason == "INSUFFICIENT_SCOPE"
