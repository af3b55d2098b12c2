"""A seed believes its checkpoint only while the servers still have the tweet that it names."""

import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from aviary.tweet.v1 import tweet_pb2

from ops.seed.checkpoint import Reached
from ops.seed.importer import still_there

TWEET = uuid.UUID("0199f3a0-0000-7000-8000-000000000000")
REACHED = Reached(50, str(TWEET))


def mesh(*stored: bytes) -> Any:
    async def get_tweets(request: tweet_pb2.GetTweetsRequest) -> tweet_pb2.GetTweetsResponse:
        found = [tweet_pb2.StoredTweet(tweet_id=t) for t in request.tweet_ids if t in stored]
        return tweet_pb2.GetTweetsResponse(tweets=found)

    return SimpleNamespace(tweets=SimpleNamespace(GetTweets=get_tweets))


@pytest.mark.parametrize(("stored", "expected"), [((TWEET.bytes,), REACHED), ((), None)])
async def test_a_checkpoint_whose_tweet_is_gone_is_not_believed(
    stored: tuple[bytes, ...], expected: Reached | None
) -> None:
    """The servers were emptied, or are others: everything is imported again."""
    assert await still_there(mesh(*stored), REACHED) == expected


async def test_without_a_checkpoint_nothing_is_asked() -> None:
    assert await still_there(None, None) is None  # type: ignore[arg-type]
