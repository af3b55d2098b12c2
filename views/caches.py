"""What the view plane keeps in memory: tweets, authors, follow snapshots; each says how old its answers can be. Rules are elsewhere."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import grpc
from aviary.graph.v1 import events_pb2 as graph_events_pb2
from aviary.graph.v1 import graph_pb2
from aviary.graph.v1.graph_pb2_grpc import GraphServiceAsyncStub
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceAsyncStub
from grpc import aio

from flights import Flights
from runtime import telemetry
from runtime.ids import split_ids
from statuses import Statuses
from views.ids import raw_id
from views.items import Author, CachedTweet

TWEETS = 100_000
AUTHORS = 50_000
AUTHOR_TTL_S = 60.0
FOLLOWED_IDS = 1_000_000
SNAPSHOT_TTL_S = 30.0
_BATCH = 400
_NEVER = -1
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
    """Accounts by id, at most 60 seconds old; older ones serve only while their service does not answer."""

    def __init__(self, users: UserServiceAsyncStub, monotonic: Monotonic, size: int = AUTHORS) -> None:
        self._stub = users
        self._now = monotonic
        self._size = size
        self._kept: OrderedDict[bytes, Author] = OrderedDict()
        self._flights = Flights(self._fetch, _BATCH)

    def cached(self, ids: Iterable[bytes]) -> dict[bytes, Author] | None:
        """All the accounts, if nothing has to be asked."""
        found, ask = self._split(ids)
        return None if ask else found

    async def get(self, ids: Iterable[bytes]) -> dict[bytes, Author]:
        """The accounts that exist."""
        found, ask = self._split(ids)
        if ask:
            try:
                found.update(await self._flights.load(ask))
            except aio.AioRpcError as error:
                old = {key: kept for key in ask if (kept := self._kept.get(key))}
                if error.code() not in _DOWN or len(old) < len(ask):
                    raise
                log.warning("authors_are_old", asked=len(ask))
                found.update(old)
        return found

    def _split(self, ids: Iterable[bytes]) -> tuple[dict[bytes, Author], list[bytes]]:
        oldest = self._now() - AUTHOR_TTL_S
        found: dict[bytes, Author] = {}
        ask = []
        kept = self._kept
        for key in dict.fromkeys(ids):
            author = kept.get(key)
            if author is not None and author.loaded_at >= oldest:
                kept.move_to_end(key)
                found[key] = author
            else:
                ask.append(key)
        return found, ask

    async def _fetch(self, ids: list[bytes]) -> Mapping[bytes, Author]:
        asked_at = self._now()
        answer = await self._stub.GetUsers(user_pb2.GetUsersRequest(user_ids=ids))
        return {(key := raw_id(user.user_id)): self._keep(key, user, asked_at) for user in answer.users}

    def _keep(self, key: bytes, user: user_pb2.User, asked_at: float) -> Author:
        known = self._kept.get(key)
        if known is not None and known.user == user:
            # The same object stays, and with it the presentation of every tweet that was made with it.
            known.loaded_at = asked_at
            return known
        author = self._kept[key] = Author(user, asked_at)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return author


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Whom one account follows, as it was at `loaded_at`; holds every change up to `version` (microseconds)."""

    followees: frozenset[bytes]
    version: int
    loaded_at: float


class FollowCache:
    """Follow snapshots by follower: at most 30 seconds old, dropped when a change is heard of, never older than asked for.

    Older ones serve only while their service does not answer: then nobody's follows change either, or the change is heard.
    """

    def __init__(self, graph: GraphServiceAsyncStub, monotonic: Monotonic, room: int = FOLLOWED_IDS) -> None:
        self._stub = graph
        self._now = monotonic
        self._room = room
        self._held = 0
        self._kept: OrderedDict[bytes, Snapshot] = OrderedDict()
        self._changed_at: dict[bytes, float] = {}
        self._flights = Flights(self._fetch, 1)

    def cached(self, viewer: bytes, at_least: int = 0) -> Snapshot | None:
        """The snapshot, if it need not be asked for: it holds every change up to `at_least`."""
        snapshot = self._kept.get(viewer)
        if snapshot is None or snapshot.version < at_least or self._now() - snapshot.loaded_at > SNAPSHOT_TTL_S:
            return None
        self._kept.move_to_end(viewer)
        return snapshot

    async def get(self, viewer: bytes, at_least: int = 0, fresh: bool = False) -> Snapshot:
        """A snapshot that holds every change up to `at_least`; `fresh`: everything before this call."""
        snapshot = None if fresh else self.cached(viewer, at_least)
        if snapshot is None:
            # One that is on its way may have been read before the change that is asked for.
            share = not fresh and at_least == 0
            try:
                snapshot = (await self._flights.load([viewer], share))[viewer]
            except aio.AioRpcError as error:
                snapshot = None if fresh else self._kept.get(viewer)
                if error.code() not in _DOWN or snapshot is None or snapshot.version < at_least:
                    raise
                log.warning("follows_are_old")
        return snapshot

    async def heard(self, event: graph_events_pb2.FollowSet) -> None:
        """A follow or unfollow was announced: an older snapshot of the follower is of no use, nor one that is on its way.

        Nor one that is newer and lacks the change: two processes may store changes of one account in the other order.
        """
        if self._flights.is_flying(event.follower_id):
            self._changed_at[event.follower_id] = self._now()
        kept = self._kept.get(event.follower_id)
        if kept is None:
            return
        if kept.version < event.version or (event.followee_id in kept.followees) != event.following:
            self._drop(event.follower_id)

    async def _fetch(self, viewers: list[bytes]) -> Mapping[bytes, Snapshot]:
        (viewer,) = viewers
        asked_at = self._now()
        answer = await self._stub.GetFollowSnapshot(graph_pb2.GetFollowSnapshotRequest(user_id=viewer))
        snapshot = Snapshot(frozenset(split_ids(answer.followee_ids)), answer.version, asked_at)
        self._keep(viewer, snapshot)
        return {viewer: snapshot}

    def _keep(self, viewer: bytes, snapshot: Snapshot) -> None:
        changed_at, kept = self._changed_at.get(viewer), self._kept.get(viewer)
        if changed_at is not None and changed_at >= snapshot.loaded_at:
            return
        if kept is not None and kept.loaded_at > snapshot.loaded_at:
            return
        self._changed_at.pop(viewer, None)
        self._drop(viewer)
        self._kept[viewer] = snapshot
        self._held += len(snapshot.followees) + 1
        while self._held > self._room:
            self._drop(next(iter(self._kept)))

    def _drop(self, viewer: bytes) -> None:
        dropped = self._kept.pop(viewer, None)
        if dropped is not None:
            self._held -= len(dropped.followees) + 1
