"""ListLikers: pages of who likes a tweet, latest first, and cursors that fit nowhere else."""

import uuid

import grpc
import pytest
from aviary.engage.v1.engage_pb2 import ListLikersRequest, ListLikersResponse

from cursors import LIFETIME_MS
from runtime.ids import split_ids
from tests.unit.svc_engage.engage import Engage, refusal


async def page(engage: Engage, tweet: uuid.UUID, limit: int | None = None, cursor: str = "") -> ListLikersResponse:
    request = ListLikersRequest(tweet_id=tweet.bytes, limit=limit, cursor=cursor)
    answer: ListLikersResponse = await engage.stub.ListLikers(request)
    return answer


async def liked_by(engage: Engage, count: int) -> tuple[uuid.UUID, list[bytes]]:
    """A tweet and who likes it, latest first; the rows were split half way."""
    tweet, users = engage.tweet(), [engage.user() for _ in range(count)]
    for number, user in enumerate(users):
        if number == count // 2:
            await engage.counted(tweet, number, as_of=0, level=1)
        engage.clock.us += 20_000_000
        await engage.like(user, tweet)
    return tweet, [user.bytes for user in reversed(users)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 1000])
async def test_any_page_size_gives_the_same_whole_while_others_like_it(engage: Engage, limit: int) -> None:
    """P31."""
    tweet, whole = await liked_by(engage, 8)
    seen: list[bytes] = []
    cursor = ""
    while True:
        answer = await page(engage, tweet, limit, cursor)
        assert 0 < len(answer.user_ids) <= 16 * limit
        seen += split_ids(answer.user_ids)
        cursor = answer.next_cursor
        if not cursor:
            break
        await engage.like(engage.user(), tweet)
    assert seen == whole


async def test_who_likes_it_no_longer_is_gone(engage: Engage) -> None:
    alice, bob, tweet = engage.user(), engage.user(), engage.tweet()
    await engage.like(alice, tweet)
    await engage.like(bob, tweet)
    await engage.unlike(alice, tweet)
    assert await page(engage, tweet) == ListLikersResponse(user_ids=bob.bytes)


async def test_an_unknown_tweet_has_an_empty_list_without_a_cursor(engage: Engage) -> None:
    assert await page(engage, engage.ids.next(), 1) == ListLikersResponse()


async def test_a_cursor_that_was_changed_or_expired_or_is_anothers_is_refused(engage: Engage) -> None:
    """P34."""
    tweet, _ = await liked_by(engage, 3)
    cursor = (await page(engage, tweet, 1)).next_cursor
    changed = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    error = await refusal(page(engage, tweet, 1, changed))
    assert (error.status, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR")
    assert (await refusal(page(engage, engage.tweet(), 1, cursor))).reason == "INVALID_CURSOR"
    with engage.acting(engage.user()):
        assert (await refusal(page(engage, tweet, 1, cursor))).reason == "INVALID_CURSOR"
    engage.clock.us += (LIFETIME_MS + 1) * 1000
    assert (await refusal(page(engage, tweet, 1, cursor))).reason == "INVALID_CURSOR"


@pytest.mark.parametrize("limit", [0, 1001])
async def test_a_limit_out_of_range_is_refused_naming_the_field(engage: Engage, limit: int) -> None:
    error = await refusal(page(engage, engage.tweet(), limit))
    assert (error.reason, error.fields[0].field) == ("INVALID_REQUEST", "limit")


async def test_only_services_may_ask(engage: Engage) -> None:
    with engage.acting(engage.user()):
        error = await refusal(engage.direct.ListLikers(ListLikersRequest(tweet_id=b"t" * 16)))
    assert error.reason == "NOT_ALLOWED"
