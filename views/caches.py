"""The tweets that the view plane keeps in memory, and how old they can be. Accounts are in accounts/, rules in rules.py."""

from collections import OrderedDict
from collections.abc import Collection, Mapping

from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub

from flights import Flights
from statuses import Statuses
from views.items import CachedTweet

TWEETS = 100_000
_BATCH = 400
_NEVER = -1


class TweetCache:
    """Tweets by id. Bodies are immutable and leave only for want of room; statuses are believed as `Statuses` allows."""

    def __init__(self, tweets: TweetServiceAsyncStub, statuses: Statuses, size: int = TWEETS) -> None:
        self._stub = tweets
        self._statuses = statuses
        self._size = size
        self._kept: OrderedDict[bytes, CachedTweet] = OrderedDict()
        self._flights = Flights(self._fetch, _BATCH)
        self._flying_in: int | None = None

    def cached(self, ids: Collection[bytes], fresh: Collection[bytes] = ()) -> dict[bytes, CachedTweet] | None:
        """All the tweets, if nothing has to be asked; the status of `fresh` ones always is."""
        found, ask = self._split(ids, fresh)
        return None if ask else found

    async def get(self, ids: Collection[bytes], fresh: Collection[bytes] = ()) -> dict[bytes, CachedTweet]:
        """The tweets that exist, deleted ones marked. Missing bodies and unknown statuses are asked for in one batch."""
        found, ask = self._split(ids, fresh)
        if ask:
            epoch = self._statuses.epoch()
            if epoch != self._flying_in:
                # A load that began before a gap may have read what was deleted meanwhile.
                self._flights.forget()
                self._flying_in = epoch
            share = epoch is not None and not fresh
            found.update(await self._flights.load(ask, share))
        return found

    def _split(self, ids: Collection[bytes], fresh: Collection[bytes]) -> tuple[dict[bytes, CachedTweet], list[bytes]]:
        epoch = self._statuses.epoch()
        found: dict[bytes, CachedTweet] = {}
        ask = []
        kept = self._kept
        for key in ids:
            tweet = kept.get(key)
            if tweet is not None and (tweet.deleted or (tweet.epoch == epoch and key not in fresh)):
                kept.move_to_end(key)
                found[key] = tweet
            else:
                ask.append(key)
        return found, ask

    async def _fetch(self, ids: list[bytes]) -> Mapping[bytes, CachedTweet]:
        # The epoch from before the read: if it moved meanwhile, what was read is unknown again.
        epoch = self._statuses.epoch()
        answer = await self._stub.GetTweets(tweet_pb2.GetTweetsRequest(tweet_ids=ids))
        return {t.tweet_id: self._keep(t, _NEVER if epoch is None else epoch) for t in answer.tweets}

    def _keep(self, stored: tweet_pb2.StoredTweet, epoch: int) -> CachedTweet:
        tweet = self._kept.get(stored.tweet_id)
        if tweet is None:
            tweet = self._kept[stored.tweet_id] = CachedTweet(stored.author_id, stored.body, stored.deleted, epoch)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        tweet.deleted = tweet.deleted or stored.deleted
        tweet.epoch = max(tweet.epoch, epoch)
        return tweet
