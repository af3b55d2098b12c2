"""The newest tweets of followees, asked once for all backfills that want them at the same moment."""

import asyncio

from aviary.tweet.v1.tweet_pb2 import ListAuthorTweetsRequest
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub

from runtime.ids import split_ids


class Heads:
    """Coalesces reads of one author's newest tweets.

    Whoever asks shares a read that has not begun yet, never one under way: a backfill must see every tweet that was stored
    before it asked, and a read under way may have passed that tweet already.
    """

    def __init__(self, tweet: TweetServiceAsyncStub, length: int) -> None:
        self._tweet = tweet
        self._length = length
        self._to_begin: dict[bytes, asyncio.Task[list[bytes]]] = {}

    async def of(self, author_id: bytes) -> list[bytes]:
        """The newest tweets, newest first. Raises AioRpcError."""
        task = self._to_begin.get(author_id)
        if task is None:
            task = self._to_begin[author_id] = asyncio.create_task(self._read(author_id))
        # One that is cancelled leaves the read to the others.
        return await asyncio.shield(task)

    async def _read(self, author_id: bytes) -> list[bytes]:
        # Everybody who was woken together with the first gets to ask before the read begins.
        await asyncio.sleep(0)
        del self._to_begin[author_id]
        request = ListAuthorTweetsRequest(author_id=author_id, limit=self._length)
        return split_ids((await self._tweet.ListAuthorTweets(request)).tweet_ids)
