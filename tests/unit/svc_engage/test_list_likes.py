"""ListLikes: pages of what a user likes, latest like first, and cursors that fit nowhere else."""

import uuid

import grpc
import pytest
from aviary.engage.v1.engage_pb2 import ListLikersRequest, ListLikesRequest

from cursors import LIFETIME_MS
from runtime.ids import split_ids
from tests.unit.svc_engage.engage import Engage, refusal
from tests.unit.svc_engage.lists import bookmarks, likes, whole


async def marked(engage: Engage, count: int) -> tuple[uuid.UUID, list[uuid.UUID]]:
    """A user and what it likes, latest first."""
    alice, tweets = engage.user(), [engage.tweet() for _ in range(count)]
    for tweet in tweets:
        await engage.like(alice, tweet)
    return alice, tweets[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 400])
async def test_any_page_size_gives_the_same_whole_while_more_is_liked(engage: Engage, limit: int) -> None:
    """P31."""
    alice, tweets = await marked(engage, 7)

    async def more() -> None:
        await engage.like(alice, engage.tweet())

    assert await whole(engage, alice, limit, likes, more) == [tweet.bytes for tweet in tweets]


async def test_an_entry_names_the_author_and_a_page_may_go_on_behind_any_entry(engage: Engage) -> None:
    """Whoever shows only a part of a page, because the rest is hidden, goes on there."""
    alice, tweets = await marked(engage, 5)
    answer = await likes(engage, alice, 4)
    assert [entry.author_id for entry in answer.tweets] == [engage.author(tweet) for tweet in tweets[:4]]
    rest = await likes(engage, alice, 4, answer.tweets[1].cursor)
    assert ([entry.tweet_id for entry in rest.tweets], rest.has_more) == ([t.bytes for t in tweets[2:]], False)


async def test_what_was_undone_is_gone_and_done_again_it_is_first(engage: Engage) -> None:
    alice, (last, first) = await marked(engage, 2)
    await engage.unlike(alice, first)
    assert [entry.tweet_id for entry in (await likes(engage, alice)).tweets] == [last.bytes]
    await engage.like(alice, first)
    assert [entry.tweet_id for entry in (await likes(engage, alice)).tweets] == [first.bytes, last.bytes]


async def test_what_is_liked_again_stays_where_it_is_in_both_lists(engage: Engage) -> None:
    """P14: liking what is liked changes nothing. Also when it is no longer liked after that, and then is again."""
    alice, bob, (a, b) = engage.user(), engage.user(), (engage.tweet(), engage.tweet())

    async def listed() -> tuple[list[bytes], list[bytes]]:
        answer = await engage.stub.ListLikers(ListLikersRequest(tweet_id=a.bytes))
        return [entry.tweet_id for entry in (await likes(engage, alice)).tweets], list(split_ids(answer.user_ids))

    await engage.like(alice, a)
    await engage.like(alice, b)
    await engage.like(bob, a)
    for _ in range(2):
        await engage.like(alice, a)
        assert await listed() == ([b.bytes, a.bytes], [bob.bytes, alice.bytes])
    await engage.unlike(alice, a)
    assert await listed() == ([b.bytes], [bob.bytes])
    await engage.like(alice, a)
    assert await listed() == ([a.bytes, b.bytes], [alice.bytes, bob.bytes])


async def test_an_account_that_did_nothing_or_is_not_known_has_an_empty_list(engage: Engage) -> None:
    for user_id in (engage.user(), uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)):
        answer = await likes(engage, user_id, 1)
        assert (list(answer.tweets), answer.has_more) == ([], False)


async def test_a_cursor_that_was_changed_or_expired_or_is_anothers_is_refused(engage: Engage) -> None:
    """P34: also one of the other list of the same account."""
    alice, _ = await marked(engage, 3)
    cursor = (await likes(engage, alice, 1)).tweets[-1].cursor
    changed = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    error = await refusal(likes(engage, alice, 1, changed))
    assert (error.status, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR")
    assert (await refusal(bookmarks(engage, alice, 1, cursor))).reason == "INVALID_CURSOR"
    assert (await refusal(likes(engage, engage.user(), 1, cursor))).reason == "INVALID_CURSOR"
    with engage.acting(engage.user()):
        assert (await refusal(likes(engage, alice, 1, cursor))).reason == "INVALID_CURSOR"
    engage.clock.us += (LIFETIME_MS + 1) * 1000
    assert (await refusal(likes(engage, alice, 1, cursor))).reason == "INVALID_CURSOR"


@pytest.mark.parametrize("limit", [0, 401])
async def test_a_limit_out_of_range_is_refused_naming_the_field(engage: Engage, limit: int) -> None:
    error = await refusal(likes(engage, engage.user(), limit))
    assert (error.reason, error.fields[0].field) == ("INVALID_REQUEST", "limit")


async def test_without_a_limit_a_page_has_twenty(engage: Engage) -> None:
    alice, _ = await marked(engage, 21)
    answer = await likes(engage, alice)
    assert (len(answer.tweets), answer.has_more) == (20, True)


async def test_only_services_may_ask(engage: Engage) -> None:
    with engage.acting(engage.user()):
        error = await refusal(engage.direct.ListLikes(ListLikesRequest(user_id=b"u" * 16)))
    assert error.reason == "NOT_ALLOWED"
