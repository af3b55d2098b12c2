"""Heads of followees are asked once for all who ask together, and never from a read that began before."""

import asyncio
from typing import Any

import pytest
from aviary.tweet.v1.tweet_pb2 import ListAuthorTweetsRequest, ListAuthorTweetsResponse

from svc_timeline.heads import Heads

AUTHOR, OTHER = b"a" * 16, b"o" * 16


class Tweets:
    """Answers when the test lets it, with what was stored when the read began."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []
        self.calls: list[bytes] = []
        self.gate = asyncio.Event()
        self.began = asyncio.Event()

    async def ListAuthorTweets(self, request: ListAuthorTweetsRequest) -> ListAuthorTweetsResponse:
        self.calls.append(request.author_id)
        self.began.set()
        found = b"".join(self.stored)
        await self.gate.wait()
        return ListAuthorTweetsResponse(tweet_ids=found)


def heads(tweets: Any) -> Heads:
    return Heads(tweets, 50)


async def test_all_who_ask_together_share_one_read() -> None:
    tweets = Tweets()
    tweets.gate.set()
    asked = heads(tweets)
    await asyncio.gather(*(asked.of(AUTHOR) for _ in range(20)), asked.of(OTHER))
    assert sorted(tweets.calls) == [AUTHOR, OTHER]


async def test_one_who_asks_later_does_not_get_a_read_that_began_before() -> None:
    """The later backfill must see the tweet that was stored between the two."""
    tweets = Tweets()
    asked = heads(tweets)
    first = asyncio.create_task(asked.of(AUTHOR))
    await tweets.began.wait()
    tweets.stored.append(b"t" * 16)
    second = asyncio.create_task(asked.of(AUTHOR))
    tweets.gate.set()
    assert await first == []
    assert await second == [b"t" * 16]


async def test_one_who_gives_up_does_not_take_the_others_along() -> None:
    tweets = Tweets()
    tweets.stored.append(b"t" * 16)
    asked = heads(tweets)
    first, second = (asyncio.create_task(asked.of(AUTHOR)) for _ in range(2))
    await tweets.began.wait()
    first.cancel()
    tweets.gate.set()
    assert await second == [b"t" * 16]
    with pytest.raises(asyncio.CancelledError):
        await first
