"""Which tweets exist and whose they are: asked from svc_tweet once, remembered, forgotten when a deletion is heard."""

import uuid
from collections import OrderedDict

from aviary.tweet.v1.tweet_pb2 import GetTweetsRequest
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub

from statuses import Statuses
from svc_engage.errors import TweetNotFound


class KnownTweets:
    """Authors of tweets that exist, the least recently used drop out. That a tweet is not deleted is believed as `Statuses` says."""

    def __init__(self, tweet: TweetServiceAsyncStub, statuses: Statuses, size: int) -> None:
        self._tweet = tweet
        self._statuses = statuses
        self._size = size
        self._known: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()

    async def author_of(self, tweet_id: bytes) -> bytes:
        """Who wrote a tweet. Raises TweetNotFound when there is none or it was deleted; Unavailable when nobody can tell."""
        epoch = self._statuses.epoch()
        author_id, learned = self._known.get(tweet_id, (b"", 0))
        if not author_id or learned != epoch:
            author_id = await self._ask(tweet_id)
        if not author_id or self._statuses.is_deleted(tweet_id):
            self._known.pop(tweet_id, None)
            raise TweetNotFound("there is no such tweet", tweet_id=uuid.UUID(bytes=tweet_id))
        if epoch is not None:
            self._remember(tweet_id, author_id, epoch)
        return author_id

    async def _ask(self, tweet_id: bytes) -> bytes:
        """Its author, empty when there is no such tweet now."""
        answer = await self._tweet.GetTweets(GetTweetsRequest(tweet_ids=[tweet_id]))
        return next((tweet.author_id for tweet in answer.tweets if not tweet.deleted), b"")

    def _remember(self, tweet_id: bytes, author_id: bytes, epoch: int) -> None:
        self._known[tweet_id] = author_id, epoch
        self._known.move_to_end(tweet_id)
        if len(self._known) > self._size:
            self._known.popitem(last=False)
