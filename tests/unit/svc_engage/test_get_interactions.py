"""GetInteractions: with whom an account engages, from its likes, more of the young ones."""

import uuid

import grpc
import pytest
from aviary.engage.v1 import engage_pb2 as pb

from svc_engage.domain.marks import LikeState, MarkKind
from svc_engage.domain.weights import HALF_LIFE_MS
from tests.storing import store_like
from tests.unit.svc_engage.engage import Engage, refusal


async def weights(engage: Engage, user: uuid.UUID, *authors: bytes) -> dict[bytes, float]:
    """What one call says, by author."""
    answer = await engage.stub.GetInteractions(pb.GetInteractionsRequest(user_id=user.bytes, author_ids=authors))
    assert len(answer.interactions) <= len(set(authors))
    return {one.author_id: one.weight for one in answer.interactions}


async def test_an_account_that_never_liked_anything_engages_with_nobody(engage: Engage) -> None:
    assert await weights(engage, engage.user(), b"a" * 16) == {}
    assert await weights(engage, engage.user()) == {}


async def test_each_like_counts_half_after_thirty_days_with_the_cache_and_without(engage: Engage) -> None:
    me, first, second, other = engage.user(), engage.tweet(), engage.tweet(), engage.tweet()
    engage.tweets.authors[second.bytes] = author = engage.author(first)
    await engage.like(me, first)
    assert await weights(engage, me, author) == {author: pytest.approx(1.0, abs=1e-6)}
    engage.clock.us += 1000 * HALF_LIFE_MS
    for tweet in (second, other):
        await engage.like(me, tweet)
    for away in (False, True):
        engage.cache.away = away
        found = await weights(engage, me, author, engage.author(other), author, b"n" * 16)
        assert found == pytest.approx({author: 1.5, engage.author(other): 1.0}, abs=1e-6)


async def test_a_like_that_is_taken_back_is_none(engage: Engage) -> None:
    me, tweet = engage.user(), engage.tweet()
    await engage.like(me, tweet)
    assert await weights(engage, me, engage.author(tweet))
    await engage.unlike(me, tweet)
    assert await weights(engage, me, engage.author(tweet)) == {}


async def test_the_rows_are_read_once(engage: Engage) -> None:
    """And the likes after it are added to what is remembered, which equals what the rows say."""
    me, tweets = engage.user(), [engage.tweet() for _ in range(3)]
    authors = [engage.author(tweet) for tweet in tweets]
    await weights(engage, me)
    # A like that only the store knows shows that the store was not asked.
    hidden = LikeState(b"h" * 16, b"n" * 16, me.bytes, True, 5, 0, engage.clock.now_ms())
    await store_like(engage.store, hidden, await engage.store.mark(me.bytes, MarkKind.LIKE, b"h" * 16), 1)
    for tweet in tweets:
        await engage.like(me, tweet)
    assert await weights(engage, me, *authors, b"n" * 16) == pytest.approx(dict.fromkeys(authors, 1.0), abs=1e-6)
    engage.cache.clear()
    rebuilt = dict.fromkeys([*authors, b"n" * 16], 1.0)
    assert await weights(engage, me, *authors, b"n" * 16) == pytest.approx(rebuilt, abs=1e-6)


async def test_only_services_ask(engage: Engage) -> None:
    with engage.acting(engage.user()):
        error = await refusal(engage.direct.GetInteractions(pb.GetInteractionsRequest(user_id=b"u" * 16)))
    assert error.status is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "nonsense",
    [
        pb.GetInteractionsRequest(),
        pb.GetInteractionsRequest(user_id=b"u" * 16, author_ids=[b"short"]),
        pb.GetInteractionsRequest(user_id=b"u" * 16, author_ids=[b"a" * 16] * 401),
    ],
)
async def test_nonsense_is_refused(engage: Engage, nonsense: pb.GetInteractionsRequest) -> None:
    assert (await refusal(engage.stub.GetInteractions(nonsense))).status is grpc.StatusCode.INVALID_ARGUMENT
