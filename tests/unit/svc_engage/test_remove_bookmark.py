"""RemoveBookmark: also of a tweet that is gone, and nothing where there is none."""

import itertools
import uuid

import pytest
from aviary.engage.v1.engage_pb2 import RemoveBookmarkRequest

from svc_engage.domain.marks import UNMARKED, MarkKind
from tests.unit.svc_engage.engage import Engage, refusal


async def bookmarks(engage: Engage, user: uuid.UUID) -> list[bytes]:
    return [row.tweet_id for row in await engage.store.list_marked(user.bytes, MarkKind.BOOKMARK, None, 10)]


async def test_a_bookmark_of_a_deleted_tweet_can_be_removed_also_when_nobody_can_tell_of_tweets(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.bookmark(alice, tweet)
    await engage.delete(tweet)
    engage.tweets.down = True
    await engage.remove_bookmark(alice, tweet)
    assert await bookmarks(engage, alice) == []


async def test_removing_what_is_not_there_stores_nothing(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.remove_bookmark(alice, tweet)
    assert await engage.store.mark(alice.bytes, MarkKind.BOOKMARK, tweet.bytes) == UNMARKED
    assert engage.recent.seen == []


async def test_of_a_tweet_that_is_unknown_or_deleted_only_a_bookmark_that_once_was_is_removed_again_and_again(
    engage: Engage,
) -> None:
    alice, bob, tweet = engage.user(), engage.user(), engage.tweet()
    await engage.bookmark(alice, tweet)
    await engage.delete(tweet)
    for _ in range(2):
        await engage.remove_bookmark(alice, tweet)
    for unknown in (tweet, uuid.uuid4(), uuid.UUID(int=2**128 - 1)):
        with engage.acting(bob):
            refused = await refusal(engage.stub.RemoveBookmark(RemoveBookmarkRequest(tweet_id=str(unknown))))
        assert refused.reason == "TWEET_NOT_FOUND"
        assert await engage.store.mark(bob.bytes, MarkKind.BOOKMARK, unknown.bytes) == UNMARKED


@pytest.mark.parametrize("calls", list(itertools.product([True, False], repeat=3)), ids=str)
async def test_any_order_of_calls_ends_in_the_state_of_the_last(engage: Engage, calls: tuple[bool, ...]) -> None:
    """P14, P50."""
    alice, tweet = engage.user(), engage.tweet()
    for present in calls:
        await (engage.bookmark if present else engage.remove_bookmark)(alice, tweet)
    assert await bookmarks(engage, alice) == [tweet.bytes] * calls[-1]


async def test_one_users_bookmarks_are_nobody_elses(engage: Engage) -> None:
    alice, bob, tweet = engage.user(), engage.user(), engage.tweet()
    await engage.bookmark(alice, tweet)
    await engage.remove_bookmark(bob, tweet)
    assert await bookmarks(engage, alice) == [tweet.bytes]
    assert await bookmarks(engage, bob) == []


async def test_anonymous_callers_and_tokens_without_the_scope_are_refused(engage: Engage) -> None:
    request = RemoveBookmarkRequest(tweet_id=str(engage.tweet()))
    with engage.acting(None):
        assert (await refusal(engage.stub.RemoveBookmark(request))).reason == "TOKEN_MISSING"
    with engage.acting(engage.user(), scopes=("read",)):
        assert (await refusal(engage.stub.RemoveBookmark(request))).reason == "INSUFFICIENT_SCOPE"
