"""The promises of TweetStore in memory, for unit tests and simulation; nothing here survives the process."""

import dataclasses
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection

from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted
from google.protobuf.message import Message

from runtime.ids import Clock
from svc_tweet.domain.tweets import PURGE_AFTER_S, Claim, Tweet


class MemoryTweetStore:
    """TweetStore in dictionaries. No method awaits between reading and writing, so each is atomic."""

    def __init__(self, announce: Callable[[Message], None], clock: Clock, purge_after_s: int = PURGE_AFTER_S) -> None:
        self._announce = announce
        self._clock = clock
        self._purge_after_s = purge_after_s
        self._tweets: dict[uuid.UUID, Tweet] = {}
        self._by_author: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
        self._purge_at_ms: dict[uuid.UUID, int] = {}
        self._claims: dict[tuple[uuid.UUID, str], tuple[Claim, int]] = {}

    async def claim(self, user_id: uuid.UUID, key: str, wanted: Claim, ttl_s: int) -> Claim:
        """See TweetStore."""
        claim, until_ms = self._claims.get((user_id, key), (wanted, 0))
        now_ms = self._clock.now_ms()
        if claim is not wanted and (until_ms == 0 or now_ms < until_ms):
            return claim
        self._claims[user_id, key] = (wanted, ttl_s and now_ms + ttl_s * 1000)
        return wanted

    async def insert(self, tweet: Tweet, announce: TweetCreated) -> None:
        """See TweetStore."""
        self._tweets.setdefault(tweet.tweet_id, tweet)
        self._by_author[tweet.author_id].add(tweet.tweet_id)
        self._announce(announce)

    async def delete(self, tweet: Tweet, deleted_us: int, announce: TweetDeleted) -> None:
        """See TweetStore."""
        self._tweets[tweet.tweet_id] = dataclasses.replace(tweet, deleted=True)
        self._by_author[tweet.author_id].add(tweet.tweet_id)
        self._purge_at_ms[tweet.tweet_id] = self._clock.now_ms() + self._purge_after_s * 1000
        self._announce(announce)

    async def get(self, tweet_id: uuid.UUID) -> Tweet | None:
        """See TweetStore."""
        tweet = self._tweets.get(tweet_id)
        if tweet is not None and self._purge_at_ms.get(tweet_id, self._clock.now_ms() + 1) <= self._clock.now_ms():
            return dataclasses.replace(tweet, body=b"")
        return tweet

    async def get_many(self, tweet_ids: Collection[uuid.UUID]) -> list[Tweet]:
        """See TweetStore."""
        found = [await self.get(tweet_id) for tweet_id in tweet_ids]
        return [tweet for tweet in found if tweet is not None]

    async def list_by_author(
        self, author_id: uuid.UUID, before: uuid.UUID, after: uuid.UUID, limit: int
    ) -> list[uuid.UUID]:
        """See TweetStore."""
        every = await self.list_all_by_author(author_id, before, after, len(self._tweets))
        return [one for one, deleted in every if not deleted][:limit]

    async def list_all_by_author(
        self, author_id: uuid.UUID, before: uuid.UUID, after: uuid.UUID, limit: int
    ) -> list[tuple[uuid.UUID, bool]]:
        """See TweetStore."""
        own = sorted((one for one in self._by_author.get(author_id, ()) if after < one < before), reverse=True)
        return [(one, self._tweets[one].deleted) for one in own[:limit]]
