"""Counts and flags as svc_engage has them for a viewer, and the last ones known while it is away; present.py shows them."""

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import grpc
from aviary.engage.v1 import engage_pb2
from aviary.engage.v1.engage_pb2_grpc import EngageServiceAsyncStub
from grpc import aio
from prometheus_client import Counter

from runtime import telemetry
from views.recent import NOTHING_RECENT, Recent

ENOUGH_S = 0.5
"""A page does not wait longer for its counts: about a hundred times what they take."""
QUIET_S = 1.0
"""After somebody waited in vain, pages do not wait at all for so long."""
REMEMBERED = 20_000

LIKED, RETWEETED, BOOKMARKED = 1, 2, 4

DEGRADED = Counter("aviary_view_degraded_total", "Answers that went out with old counts, or none.", ["reason"])

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

log = telemetry.logger(__name__)


class Engaged(NamedTuple):
    """The volatile part of a tweet. `flags` adds up what the viewer did: LIKED, RETWEETED, BOOKMARKED."""

    likes: int = 0
    retweets: int = 0
    replies: int = 0
    quotes: int = 0
    flags: int = 0


class Standing(NamedTuple):
    """The counts of an account."""

    followers: int = 0
    following: int = 0
    tweets: int = 0


UNTOUCHED = Engaged()
UNKNOWN = Standing()


@dataclass(frozen=True, slots=True)
class Engagements(Generic[V]):
    """What is known of each id that was asked for. `away`: not from its owner, so it may be old, and flags are missing.

    `recent`: how the viewer stands to others, as of when the counts were asked for; no more of what the viewer did is told.
    """

    of: Mapping[bytes, V]
    away: bool = False
    recent: Recent = NOTHING_RECENT


class Engagement:
    """Asks svc_engage, half a second at most; never fails, and what it says while svc_engage is away is marked so."""

    def __init__(self, engage: EngageServiceAsyncStub, monotonic: Callable[[], float], size: int = REMEMBERED) -> None:
        self._stub = engage
        self._now = monotonic
        self._ask_at = monotonic()
        self._away = False
        self._tweets: _Last[bytes, Engaged] = _Last(size)
        self._users: _Last[bytes, Standing] = _Last(size)

    async def tweets(self, viewer: bytes, ids: Collection[bytes]) -> Engagements[Engaged]:
        """Counts of up to 400 tweets, and what the viewer (empty for nobody) did with each."""
        if not ids:
            return Engagements({})
        try:
            if self._now() >= self._ask_at:
                return await self.ask_tweets(viewer, ids)
        except aio.AioRpcError as error:
            self._missed(error)
        DEGRADED.labels("tweets").inc()
        last = self._tweets
        return Engagements(
            {key: last.get(key, UNTOUCHED)._replace(flags=0) for key in ids}, True, Recent(unknown=bool(viewer))
        )

    async def ask_tweets(self, viewer: bytes, ids: Collection[bytes]) -> Engagements[Engaged]:
        """As `tweets`, for who can wait: raises AioRpcError while svc_engage is away."""
        answer = await self._stub.GetTweetCounts(
            engage_pb2.GetTweetCountsRequest(viewer_id=viewer, tweet_ids=ids), timeout=ENOUGH_S
        )
        self._back()
        # The id is the first field, 2 bytes and 16; most of what follows it was read before, of another tweet.
        found = {(raw := c.SerializeToString())[2:18]: _engaged(raw[18:]) for c in answer.counts}
        self._tweets.keep(found)
        return Engagements(found, False, Recent(answer.graph_version, unknown=answer.recent_unknown))

    async def recent(self, viewer: bytes) -> Recent:
        """What the viewer did to others lately, for lists that hold no tweets."""
        if not viewer:
            return NOTHING_RECENT
        try:
            if self._now() >= self._ask_at:
                return (await self.ask_tweets(viewer, ())).recent
        except aio.AioRpcError as error:
            self._missed(error)
        return Recent(unknown=True)

    async def user(self, viewer: bytes, user_id: bytes) -> Engagements[Standing]:
        """Counts of one account."""
        try:
            if self._now() >= self._ask_at:
                return Engagements(await self._ask_user(viewer, user_id))
        except aio.AioRpcError as error:
            self._missed(error)
        DEGRADED.labels("users").inc()
        return Engagements({user_id: self._users.get(user_id, UNKNOWN)}, away=True)

    async def _ask_user(self, viewer: bytes, user_id: bytes) -> dict[bytes, Standing]:
        answer = await self._stub.GetUserCounts(
            engage_pb2.GetUserCountsRequest(viewer_id=viewer, user_ids=[user_id]), timeout=ENOUGH_S
        )
        self._back()
        found = {c.user_id: Standing(c.followers_count, c.following_count, c.tweets_count) for c in answer.counts}
        self._users.keep(found)
        return found

    def _missed(self, error: aio.AioRpcError) -> None:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._ask_at = self._now() + QUIET_S
        if not self._away:
            self._away = True
            log.warning("engagement_away", status=error.code().name, detail=error.details())

    def _back(self) -> None:
        if self._away:
            self._away = False
            log.info("engagement_back")


class _Last(Generic[K, V]):
    """The last values seen, up to twice `size`: two generations stand for a least-recently-used order."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def keep(self, values: Mapping[K, V]) -> None:
        """Remember."""
        if len(self._young) + len(values) > self._size:
            self._old, self._young = self._young, {}
        self._young.update(values)

    def get(self, key: K, otherwise: V) -> V:
        """The last value, if it is still known."""
        found = self._young.get(key)
        return self._old.get(key, otherwise) if found is None else found


@lru_cache(maxsize=65_536)
def _engaged(rest: bytes) -> Engaged:
    """What TweetCounts say beside the id."""
    c = engage_pb2.TweetCounts.FromString(rest)
    flags = LIKED * c.liked + RETWEETED * c.retweeted + BOOKMARKED * c.bookmarked
    return Engaged(c.likes_count, c.retweets_count, c.replies_count, c.quote_tweets_count, flags)
