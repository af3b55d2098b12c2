"""Who may engage with whose tweets: a block stands between the two in both directions, and undoing is always allowed."""

import uuid

import pytest
from aviary.engage.v1.engage_pb2 import BookmarkRequest, LikeRequest

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
    alice = engage.user()
    await engage.believe()
    for _ in range(3):
        await engage.like(alice, engage.tweet())
    assert engage.blocks.calls == 1


async def test_a_block_that_nobody_can_tell_of_lets_nobody_through(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.blocks.down = True
    assert await refusals(engage, alice, tweet) == {"DEPENDENCY_UNAVAILABLE UNAVAILABLE"}
    assert engage.published() == []
