"""ListBookmarkedTweets: pages of what a user bookmarked, latest bookmark first, and cursors that fit nowhere else."""

import uuid

import grpc
import pytest
from aviary.engage.v1.engage_pb2 import ListBookmarkedTweetsRequest

from cursors import LIFETIME_MS
from tests.unit.svc_engage.engage import Engage, refusal
from tests.unit.svc_engage.lists import bookmarks, likes, whole


async def marked(engage: Engage, count: int) -> tuple[uuid.UUID, list[uuid.UUID]]:
    """A user and what it bookmarked, latest first."""
    alice, tweets = engage.user(), [engage.tweet() for _ in range(count)]
    for tweet in tweets:
        await engage.bookmark(alice, tweet)
    return alice, tweets[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 400])
async def test_any_page_size_gives_the_same_whole_while_more_is_bookmarked(engage: Engage, limit: int) -> None:
    """P31."""
    alice, tweets = await marked(engage, 7)

    async def more() -> None:
        await engage.bookmark(alice, engage.tweet())

    assert await whole(engage, alice, limit, bookmarks, more) == [tweet.bytes for tweet in tweets]


async def test_an_entry_names_the_author_and_a_page_may_go_on_behind_any_entry(engage: Engage) -> None:
    """Whoever shows only a part of a page, because the rest is hidden, goes on there."""
    alice, tweets = await marked(engage, 5)
    answer = await bookmarks(engage, alice, 4)
    assert [entry.author_id for entry in answer.tweets] == [engage.author(tweet) for tweet in tweets[:4]]
    rest = await bookmarks(engage, alice, 4, answer.tweets[1].cursor)
    assert ([entry.tweet_id for entry in rest.tweets], rest.has_more) == ([t.bytes for t in tweets[2:]], False)


async def test_what_was_undone_is_gone_and_done_again_it_is_first(engage: Engage) -> None:
    alice, (last, first) = await marked(engage, 2)
    await engage.remove_bookmark(alice, first)
    assert [entry.tweet_id for entry in (await bookmarks(engage, alice)).tweets] == [last.bytes]
    await engage.bookmark(alice, first)
    assert [entry.tweet_id for entry in (await bookmarks(engage, alice)).tweets] == [first.bytes, last.bytes]


async def test_what_is_bookmarked_again_stays_where_it_is_and_what_is_bookmarked_anew_is_first(engage: Engage) -> None:
    """P14: bookmarking what is bookmarked changes nothing."""
    alice, (b, a) = await marked(engage, 2)
    await engage.bookmark(alice, a)
    assert [entry.tweet_id for entry in (await bookmarks(engage, alice)).tweets] == [b.bytes, a.bytes]
    await engage.remove_bookmark(alice, a)
    await engage.bookmark(alice, a)
    assert [entry.tweet_id for entry in (await bookmarks(engage, alice)).tweets] == [a.bytes, b.bytes]


async def test_an_account_that_did_nothing_or_is_not_known_has_an_empty_list(engage: Engage) -> None:
    for user_id in (engage.user(), uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)):
        answer = await bookmarks(engage, user_id, 1)
        assert (list(answer.tweets), answer.has_more) == ([], False)


async def test_a_cursor_that_was_changed_or_expired_or_is_anothers_is_refused(engage: Engage) -> None:
    """P34: also one of the other list of the same account."""
    alice, _ = await marked(engage, 3)
    cursor = (await bookmarks(engage, alice, 1)).tweets[-1].cursor
    changed = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    error = await refusal(bookmarks(engage, alice, 1, changed))
    assert (error.status, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR")
    assert (await refusal(likes(engage, alice, 1, cursor))).reason == "INVALID_CURSOR"
    assert (await refusal(bookmarks(engage, engage.user(), 1, cursor))).reason == "INVALID_CURSOR"
    with engage.acting(engage.user()):
        assert (await refusal(bookmarks(engage, alice, 1, cursor))).reason == "INVALID_CURSOR"
    engage.clock.us += (LIFETIME_MS + 1) * 1000
    assert (await refusal(bookmarks(engage, alice, 1, cursor))).reason == "INVALID_CURSOR"


@pytest.mark.parametrize("limit", [0, 401])
async def test_a_limit_out_of_range_is_refused_naming_the_field(engage: Engage, limit: int) -> None:
    error = await refusal(bookmarks(engage, engage.user(), limit))
    assert (error.reason, error.fields[0].field) == ("INVALID_REQUEST", "limit")


async def test_without_a_limit_a_page_has_twenty(engage: Engage) -> None:
    alice, _ = await marked(engage, 21)
    answer = await bookmarks(engage, alice)
    assert (len(answer.tweets), answer.has_more) == (20, True)


async def test_only_services_may_ask(engage: Engage) -> None:
    with engage.acting(engage.user()):
        error = await refusal(engage.direct.ListBookmarkedTweets(ListBookmarkedTweetsRequest(user_id=b"u" * 16)))
    assert error.reason == "NOT_ALLOWED"
