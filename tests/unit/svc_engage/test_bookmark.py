"""Bookmark: for the caller alone, without a log; its versions order it."""

import grpc
from aviary.engage.v1.engage_pb2 import BookmarkRequest

from readers.recent import BOOKMARK, OwnBookmark
from svc_engage.domain.marks import UNMARKED, Mark, MarkKind, bookmark_after
from tests.unit.svc_engage.engage import Engage, refusal


async def test_a_bookmark_is_stored_and_listed_and_nobody_is_told(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.bookmark(alice, tweet)
    [listed] = await engage.store.list_marked(alice.bytes, MarkKind.BOOKMARK, None, 10)
    assert (listed.tweet_id, listed.author_id) == (tweet.bytes, engage.author(tweet))
    assert await engage.store.list_marked(alice.bytes, MarkKind.LIKE, None, 10) == []
    assert engage.bus.published == []


async def test_bookmarking_again_changes_nothing_and_is_shown_to_the_next_reads_all_the_same(engage: Engage) -> None:
    """P14: the first try may have been stored and not answered."""
    alice, tweet = engage.user(), engage.tweet()
    await engage.bookmark(alice, tweet)
    first = await engage.store.mark(alice.bytes, MarkKind.BOOKMARK, tweet.bytes)
    await engage.bookmark(alice, tweet)
    assert await engage.store.mark(alice.bytes, MarkKind.BOOKMARK, tweet.bytes) == first
    assert engage.recent.seen == [(alice.bytes, BOOKMARK, OwnBookmark(tweet.bytes, True, first.at).packed())] * 2


async def test_versions_grow_and_tell_the_state_also_when_the_clock_stands_still_or_goes_back() -> None:
    """P50: two processes write equal cells or different versions."""
    first = bookmark_after(UNMARKED, True, b"a" * 16, 1_000)
    removed = bookmark_after(first, False, b"", 1_000)
    again = bookmark_after(removed, True, b"a" * 16, 500)
    assert first.at < removed.at < again.at
    assert [mark.at & 1 for mark in (first, removed, again)] == [1, 0, 1]
    assert removed.author_id == b"a" * 16
    assert bookmark_after(Mark(False, 10), True, b"a" * 16, 1_000) == bookmark_after(
        Mark(False, 20), True, b"a" * 16, 1_000
    )


async def test_unknown_and_deleted_tweets_cannot_be_bookmarked(engage: Engage) -> None:
    tweet = engage.tweet()
    await engage.delete(tweet)
    with engage.acting(engage.user()):
        for tweet_id in (tweet, engage.user()):
            error = await refusal(engage.stub.Bookmark(BookmarkRequest(tweet_id=str(tweet_id))))
            assert (error.status, error.reason) == (grpc.StatusCode.NOT_FOUND, "TWEET_NOT_FOUND")


async def test_without_the_store_it_is_503_without_cache_and_bus_it_goes_on(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.store.down = True
    with engage.acting(alice):
        error = await refusal(engage.stub.Bookmark(BookmarkRequest(tweet_id=str(tweet))))
    assert error.status is grpc.StatusCode.UNAVAILABLE
    engage.store.down, engage.cache.away, engage.bus.down = False, True, True
    await engage.bookmark(alice, tweet)


async def test_anonymous_callers_and_tokens_without_the_scope_are_refused(engage: Engage) -> None:
    request = BookmarkRequest(tweet_id=str(engage.tweet()))
    with engage.acting(None):
        assert (await refusal(engage.stub.Bookmark(request))).reason == "TOKEN_MISSING"
    with engage.acting(engage.user(), scopes=("read",)):
        assert (await refusal(engage.stub.Bookmark(request))).reason == "INSUFFICIENT_SCOPE"
