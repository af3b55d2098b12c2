"""What a user wrote in the last minute, so that the next read shows it before the events arrive; the reads lay it over their results."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Protocol, cast

from prometheus_client import Counter as Metric

from redis_client import Redis, tag
from runtime.errors import Unavailable
from runtime.telemetry import logger

OWN_TWEET = b"t"
"""Value: a tweet that the user posted, as `tweet_value` packs it."""
DELETED_TWEET = b"d"
"""Value: a tweet that the user deleted, as `tweet_value` packs it."""
GRAPH_VERSION = b"g"
"""Value: version of the user's follows, 8 bytes big endian, microseconds; the greatest counts."""
FOLLOW = b"f"
"""Value: an `OwnFollow`."""
LIKE = b"l"
"""Value: an `OwnLike`."""
LIKING = b"i"
"""Value: a tweet, 16 bytes, of which a like is about to be announced or ended. A try that does not come to its LIKE stands in the log,
perhaps, and nobody remembers where.
"""
BOOKMARK = b"b"
"""Value: an `OwnBookmark`."""
PROFILE = b"p"
"""Value: version of the user's own account, 8 bytes big endian, microseconds; the greatest counts."""

KEPT_S = 60
KEPT_ENTRIES = 256
AT_ONCE = 100
"""So many writes go to Redis in one round trip: three commands each, a few milliseconds of this process."""

OwnWrite = tuple[bytes, bytes, bytes]
"""The user, the kind, the value."""

# Fields are only ever added at the end: who knows fewer reads what it knows.
_TWEET, _FOLLOW, _LIKE, _BOOKMARK = Struct(">16sQ"), Struct(">16sbQQQ"), Struct(">16s?bQQ"), Struct(">16s?Q")
_ID = 16

log = logger(__name__)
MISSED = Metric("aviary_mesh_recent_writes_missed_total", "Own writes that could not be recorded in Redis.")


@dataclass(frozen=True, slots=True)
class OwnFollow:
    """A change of a follow: by how much counts change (1 or -1), and where it stands in the logs that are counted: as a follow
    of the follower and as a follower of the followee, 0 where that is unknown; `version` is the edge's.
    """

    followee_id: bytes
    delta: int
    following_place: int
    follower_place: int
    version: int

    def packed(self) -> bytes:
        """The value that is recorded."""
        return _FOLLOW.pack(self.followee_id, self.delta, self.following_place, self.follower_place, self.version)


@dataclass(frozen=True, slots=True)
class OwnLike:
    """A like that was set: by how much the count changes (-1, 0, 1), and where it stands in the log that is counted.

    `before_place` is that of the state before, 0 for none: a count that ends before it lacks more than this like.
    """

    tweet_id: bytes
    liked: bool
    delta: int
    place: int
    before_place: int

    def packed(self) -> bytes:
        """The value that is recorded."""
        return _LIKE.pack(self.tweet_id, self.liked, self.delta, self.place, self.before_place)


@dataclass(frozen=True, slots=True)
class OwnBookmark:
    """A bookmark that was set; of two states the one with the greater version is the later."""

    tweet_id: bytes
    bookmarked: bool
    version: int

    def packed(self) -> bytes:
        """The value that is recorded."""
        return _BOOKMARK.pack(self.tweet_id, self.bookmarked, self.version)


def tweet_value(tweet_id: bytes, place: int) -> bytes:
    """The value of OWN_TWEET and DELETED_TWEET: `place` is where the fact stands in its stream, 0 when that is unknown."""
    return _TWEET.pack(tweet_id, place)


@dataclass(frozen=True, slots=True)
class Own:
    """Own writes of the last minute, newest first, each once although a retry records it again."""

    tweets: Mapping[bytes, int]
    """Place of its creation in the log (0: unknown) by tweet."""
    deleted: Mapping[bytes, int]
    """Place of its deletion in the log (0: unknown) by tweet."""
    graph_version: int
    follows: Sequence[OwnFollow]
    likes: Sequence[OwnLike]
    bookmarks: Sequence[OwnBookmark]
    liking: Mapping[bytes, int] = field(default_factory=dict)
    """How many likes of a tweet, or ends of them, were begun."""
    profile_version: int = 0
    """The account is at least of this version; 0 when it was not changed."""

    @classmethod
    def of(cls, writes: Iterable[tuple[bytes, bytes]]) -> "Own":
        """Sort (kind, value) pairs, newest first; kinds that are not known here are left out."""
        tweets: dict[bytes, dict[bytes, int]] = {OWN_TWEET: {}, DELETED_TWEET: {}}
        follows: dict[tuple[bytes, int], OwnFollow] = {}
        likes: dict[OwnLike, None] = {}
        bookmarks: dict[OwnBookmark, None] = {}
        liking: Counter[bytes] = Counter()
        graph_version = profile_version = 0
        for kind, value in writes:
            if kind in tweets:
                tweet_id, known = value[:_ID], tweets[kind]
                place = _TWEET.unpack_from(value)[1] if len(value) >= _TWEET.size else 0
                known[tweet_id] = max(place, known.get(tweet_id, 0))
            elif kind == GRAPH_VERSION:
                graph_version = max(graph_version, int.from_bytes(value))
            elif kind == PROFILE:
                profile_version = max(profile_version, int.from_bytes(value))
            elif kind == FOLLOW:
                follow = OwnFollow(*_FOLLOW.unpack_from(value))
                seen = follows.setdefault((follow.followee_id, follow.version), follow)
                # The first try was stored and not confirmed in time, the second knows where it stands, or the reverse.
                follows[follow.followee_id, follow.version] = max(seen, follow, key=_knowledge)
            elif kind == LIKE:
                likes[OwnLike(*_LIKE.unpack_from(value))] = None
            elif kind == LIKING:
                liking[value[:_ID]] += 1
            elif kind == BOOKMARK:
                bookmarks[OwnBookmark(*_BOOKMARK.unpack_from(value))] = None
        own, deleted = tweets.values()
        lists = list(follows.values()), list(likes), list(bookmarks)
        return cls(own, deleted, graph_version, *lists, liking, profile_version)


def _knowledge(follow: OwnFollow) -> int:
    return bool(follow.following_place) + bool(follow.follower_place)


class OwnWrites(Protocol):
    """Where services record what a user just wrote."""

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> bool:
        """Remember a write; awaited before the write is answered. Never fails: False when it may not be remembered."""


class ManyOwnWrites(Protocol):
    """Where a service records what many users just wrote."""

    async def record_all(self, writes: Sequence[OwnWrite]) -> bool:
        """Remember writes; awaited before they are answered. Never fails: False when some may not be remembered."""


class RecentWrites:
    """The list `{namespace}:recent:{tag}:{user}` of a user's own writes, newest first, gone 60 s after the last."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._prefix = f"{namespace}:recent:"

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> bool:
        """See OwnWrites: without Redis, readers ask the stores."""
        return await self.record_all([(user_id, kind, value)])

    async def record_all(self, writes: Sequence[OwnWrite]) -> bool:
        """As `record`, for writes of any users, over one connection however many they are: 100 in a round trip, one after another.

        What a first round trip misses the later ones are not tried for: whoever waits has waited for Redis long enough.
        """
        for start in range(0, len(writes), AT_ONCE):
            pipe = self._redis.pipeline(transaction=False)
            for user_id, kind, value in writes[start : start + AT_ONCE]:
                key = self.key(user_id)
                pipe.lpush(key, kind + value)
                pipe.ltrim(key, 0, KEPT_ENTRIES - 1)
                pipe.expire(key, KEPT_S)
            try:
                await pipe.execute()
            except Unavailable as error:
                missed = len(writes) - start
                MISSED.inc(missed)
                log.warning("recent_write_missed", writes=missed, error=error.detail)
                return False
        return True

    async def read(self, user_id: bytes) -> list[tuple[bytes, bytes]]:
        """The (kind, value) pairs, newest first. Raises Unavailable."""
        return self.parse(cast(list[bytes], await self._redis.execute_command("LRANGE", self.key(user_id), 0, -1)))

    def key(self, user_id: bytes) -> str:
        """The key of the list, for a read in the same round trip as others of the user (LRANGE key 0 -1)."""
        return f"{self._prefix}{tag(user_id)}:{user_id.hex()}"

    @staticmethod
    def parse(raw: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """The (kind, value) pairs of the list as Redis gives it, newest first."""
        return [(entry[:1], entry[1:]) for entry in raw]
