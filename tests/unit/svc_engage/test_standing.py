"""Who may engage with whose tweets: across no block in either direction, not with those of who is gone; undoing is always allowed."""

import uuid

import pytest
from aviary.engage.v1.engage_pb2 import BookmarkRequest, LikeRequest
from aviary.user.v1.user_pb2 import (
    USER_STATUS_ACTIVE,
    USER_STATUS_DELETED,
    USER_STATUS_SUSPENDED,
    UserStatus,
)

from relations.viewers import KNOWN_AFTER
from tests.unit.svc_engage.engage import Engage, refusal


async def refusals(engage: Engage, who: uuid.UUID, tweet: uuid.UUID) -> set[str]:
    with engage.acting(who):
        like = await refusal(engage.stub.Like(LikeRequest(tweet_id=str(tweet))))
        bookmark = await refusal(engage.stub.Bookmark(BookmarkRequest(tweet_id=str(tweet))))
    return {f"{error.reason} {error.status.name}" for error in (like, bookmark)}


@pytest.mark.parametrize("believed", [False, True], ids=["asked", "heard"])
@pytest.mark.parametrize("direction", ["blocking", "blocked"])
async def test_nobody_engages_across_a_block_in_either_direction(
    engage: Engage, direction: str, believed: bool
) -> None:
    """P45: also when the block comes after the relation was read and believed."""
    alice, tweet = engage.user(), engage.tweet()
    author = uuid.UUID(bytes=engage.author(tweet))
    if believed:
        await engage.believe()
        await engage.like(alice, tweet)
    before = len(engage.published())
    await (engage.block(alice, author.bytes) if direction == "blocking" else engage.block(author, alice.bytes))
    assert await refusals(engage, alice, tweet) == {"BLOCKED PERMISSION_DENIED"}
    assert len(engage.published()) == before
    await engage.unlike(alice, tweet)
    await engage.remove_bookmark(alice, tweet)


async def test_a_known_relation_is_not_asked_for(engage: Engage) -> None:
    """Of who is seen for the first time only the one pair is asked, of who comes again everything."""
    alice = engage.user()
    await engage.believe()
    for times in range(1, 6):
        await engage.like(alice, engage.tweet())
        assert engage.blocks.calls == min(times, KNOWN_AFTER)
        assert engage.blocks.snapshots == (times >= KNOWN_AFTER)


async def test_a_block_that_nobody_can_tell_of_lets_nobody_through(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.blocks.down = True
    assert await refusals(engage, alice, tweet) == {"DEPENDENCY_UNAVAILABLE UNAVAILABLE"}
    assert engage.published() == []


@pytest.mark.parametrize("believed", [False, True], ids=["asked", "heard"])
@pytest.mark.parametrize("state", [USER_STATUS_SUSPENDED, USER_STATUS_DELETED], ids=["suspended", "deleted"])
async def test_what_a_suspended_or_deleted_author_said_can_be_engaged_with_no_more_than_read(
    engage: Engage, state: UserStatus.ValueType, believed: bool
) -> None:
    """P20: also when the author was seen and believed before; engagements from before can be undone."""
    alice, tweet = engage.user(), engage.tweet()
    if believed:
        await engage.believe()
        await engage.like(alice, tweet)
    before = len(engage.published())
    await engage.set_state(engage.author(tweet), state)
    assert await refusals(engage, alice, tweet) == {"TWEET_NOT_FOUND NOT_FOUND"}
    assert len(engage.published()) == before
    await engage.unlike(alice, tweet)
    await engage.remove_bookmark(alice, tweet)
    await engage.set_state(engage.author(tweet), USER_STATUS_ACTIVE)
    await engage.like(alice, tweet)


async def test_the_tweet_of_an_author_whom_nobody_knows_is_none(engage: Engage) -> None:
    """P25"""
    alice, tweet = engage.user(), engage.tweet()
    engage.accounts.unknown.add(engage.author(tweet))
    assert await refusals(engage, alice, tweet) == {"TWEET_NOT_FOUND NOT_FOUND"}


async def test_what_is_known_costs_a_like_no_rpc(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.believe()
    for _ in range(KNOWN_AFTER):
        await engage.like(alice, tweet)
    asked = engage.tweets.calls, engage.blocks.calls, engage.accounts.calls
    assert asked == (1, KNOWN_AFTER, 1)
    for _ in range(3):
        await engage.like(alice, tweet)
        await engage.bookmark(alice, tweet)
    assert (engage.tweets.calls, engage.blocks.calls, engage.accounts.calls) == asked


async def test_while_svc_user_is_away_known_authors_stay_known_and_others_let_nobody_through(engage: Engage) -> None:
    alice, known, unknown = engage.user(), engage.tweet(), engage.tweet()
    await engage.believe()
    await engage.like(alice, known)
    engage.accounts.down = True
    engage.clock.us += 120_000_000
    await engage.like(alice, known)
    assert engage.accounts.calls == 2, "it was asked, in vain"
    assert await refusals(engage, alice, unknown) == {"DEPENDENCY_UNAVAILABLE UNAVAILABLE"}
