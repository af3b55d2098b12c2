"""What the view plane keeps in memory of its own: tweets and accounts; each says how old its answers can be. Rules are elsewhere."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping

import grpc
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub
from aviary.user.v1 import events_pb2 as user_events_pb2
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceAsyncStub
from grpc import aio

from flights import Flights
from runtime import telemetry
from signals.epochs import Epochs
from statuses import Statuses
from views.ids import raw_id
from views.items import HIDDEN, Author, CachedTweet

TWEETS = 100_000
AUTHORS = 50_000
AUTHOR_TTL_S = 60.0
FRESH_S = 0.5
"""While signals are missing, an account that was read so lately is believed: who suspends then answers a second later, at the earliest."""
QUIET_S = 1.0
"""After somebody waited for accounts in vain, pages that know older ones do not wait for so long."""
_BATCH = 400
_NEVER, _DOUBTED = -1, -2
_TOLD = 10_000
"""So many changes are remembered: more than are told while accounts are being read."""
_DOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

Monotonic = Callable[[], float]

log = telemetry.logger(__name__)


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


class AuthorCache:
    """Accounts by id. Within an epoch of AccountSignal they are as they are now, for who changes one tells; and a minute old at most.

    Older ones serve only while their service does not answer; of those, too, it is known who was told to be suspended.
    """

    def __init__(self, users: UserServiceAsyncStub, monotonic: Monotonic, size: int = AUTHORS) -> None:
        self._stub = users
        self._now = monotonic
        self._size = size
        self._epochs = Epochs(monotonic, user_events_pb2.AccountSignal)
        self._kept: OrderedDict[bytes, Author] = OrderedDict()
        self._told: OrderedDict[bytes, int] = OrderedDict()
        """Which of the changes that were told was the last of an account: what was asked for before may lack it."""
        self._changes = 0
        self._forgotten = 0
        self._flights = Flights(self._fetch, _BATCH)
        self._flying_in: int | None = None
        self._quiet_until = monotonic()

    def cached(self, ids: Iterable[bytes], fresh: Collection[bytes] = ()) -> dict[bytes, Author] | None:
        """All the accounts, if nothing has to be asked; `fresh` ones always have to be."""
        found, ask = self._split(ids, fresh)
        return None if ask else found

    def lacks(self, user_id: bytes, version: int) -> bool:
        """Whether what is kept of the account is older than that version (microseconds)."""
        kept = self._kept.get(user_id)
        return bool(version) and (kept is None or kept.user.updated_at.ToMicroseconds() < version)

    async def get(self, ids: Iterable[bytes], fresh: Collection[bytes] = ()) -> dict[bytes, Author]:
        """The accounts that exist; `fresh` ones as they are at this call, if svc_user answers."""
        found, ask = self._split(ids, fresh)
        if ask:
            epoch = self._epochs.epoch()
            if epoch != self._flying_in:
                # A read that began before a gap may lack what was not heard meanwhile.
                self._flights.forget()
                self._flying_in = epoch
            old = self._old(ask)
            if old is not None and not fresh and self._now() < self._quiet_until:
                return found | old
            try:
                found.update(await self._flights.load(ask, epoch is not None and not fresh))
            except aio.AioRpcError as error:
                old = self._old(ask)
                if error.code() not in _DOWN or old is None:
                    raise
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._quiet_until = self._now() + QUIET_S
                log.warning("authors_are_old", asked=len(ask))
                found.update(old)
        return found

    def _old(self, ids: list[bytes]) -> dict[bytes, Author] | None:
        """All of them as they were, which serves while svc_user does not answer: nobody changes an account then."""
        old = {key: kept for key in ids if (kept := self._kept.get(key))}
        return old if len(old) == len(ids) else None

    async def heard(self, signal: user_events_pb2.AccountSignal) -> None:
        """A signal arrived."""
        self._epochs.heard(signal)
        for change in signal.changes:
            self._learn(change.user_id, change.status)

    async def announced(self, event: user_events_pb2.AccountChanged) -> None:
        """A change was announced: also one that nobody signalled, because its process died or never learned that it stands."""
        self._learn(event.user_id, event.status)

    def _learn(self, user_id: bytes, status: int) -> None:
        self._changes += 1
        self._told[user_id] = self._changes
        self._told.move_to_end(user_id)
        if len(self._told) > _TOLD:
            self._forgotten = self._told.popitem(last=False)[1]
        kept = self._kept.get(user_id)
        if kept is not None:
            # Of two changes the later one may come first: hidden is at once who is to be, everything else is asked for.
            kept.hidden = kept.hidden or status in HIDDEN
            kept.epoch = _DOUBTED

    def _split(self, ids: Iterable[bytes], fresh: Collection[bytes]) -> tuple[dict[bytes, Author], list[bytes]]:
        epoch = self._epochs.epoch()
        oldest = self._now() - (FRESH_S if epoch is None else AUTHOR_TTL_S)
        found: dict[bytes, Author] = {}
        ask = []
        kept = self._kept
        for key in dict.fromkeys(ids):
            author = kept.get(key)
            if author is None or author.loaded_at < oldest or key in fresh:
                ask.append(key)
            elif author.epoch == epoch or (epoch is None and author.epoch != _DOUBTED):
                kept.move_to_end(key)
                found[key] = author
            else:
                ask.append(key)
        return found, ask

    async def _fetch(self, ids: list[bytes]) -> Mapping[bytes, Author]:
        # All as of before the read: what is told meanwhile may not be in it.
        asked_at, epoch, told = self._now(), self._epochs.epoch(), self._changes
        answer = await self._stub.GetUsers(user_pb2.GetUsersRequest(user_ids=ids))
        return {(key := raw_id(user.user_id)): self._keep(key, user, asked_at, epoch, told) for user in answer.users}

    def _keep(self, key: bytes, user: user_pb2.User, asked_at: float, epoch: int | None, told: int) -> Author:
        doubted = self._told.get(key, self._forgotten) > told
        author = self._kept.get(key)
        if author is not None and author.loaded_at > asked_at:
            return author
        if author is None or author.user != user:
            hidden = doubted and author is not None and author.hidden
            author = self._kept[key] = Author(user, asked_at, hidden=hidden or user.status in HIDDEN)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        elif not doubted:
            author.hidden = user.status in HIDDEN
        # The same object stays for the same account, and with it the presentation of every tweet that was made with it.
        author.loaded_at = asked_at
        author.epoch = _DOUBTED if doubted else _NEVER if epoch is None else epoch
        return author
