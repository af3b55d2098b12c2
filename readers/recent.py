"""What a user wrote in the last minute, so that the next read shows it before the events arrive; the reads lay it over their results."""

from collections.abc import Sequence
from typing import Protocol, cast

from prometheus_client import Counter

from runtime.errors import Unavailable
from runtime.redis import Redis, tag
from runtime.telemetry import logger

OWN_TWEET = b"t"
"""Value: the id of a tweet the user posted."""
DELETED_TWEET = b"d"
"""Value: the id of a tweet the user deleted."""
GRAPH_VERSION = b"g"
"""Value: version of the user's follows, 8 bytes big endian, microseconds; the greatest counts."""

KEPT_S = 60
_KEPT_ENTRIES = 256

log = logger(__name__)
MISSED = Counter("aviary_mesh_recent_writes_missed_total", "Own writes that could not be recorded in Redis.")


class OwnWrites(Protocol):
    """Where services record what a user just wrote."""

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        """Remember a write; awaited before the write is answered. Never fails."""


class RecentWrites:
    """The list `{namespace}:recent:{tag}:{user}` of a user's own writes, newest first, gone 60 s after the last."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._prefix = f"{namespace}:recent:"

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        """Remember a write; awaited before the write is answered. Never fails: without Redis, readers ask the stores."""
        key = self.key(user_id)
        pipe = self._redis.pipeline(transaction=False)
        pipe.lpush(key, kind + value)
        pipe.ltrim(key, 0, _KEPT_ENTRIES - 1)
        pipe.expire(key, KEPT_S)
        try:
            await pipe.execute()
        except Unavailable as error:
            MISSED.inc()
            log.warning("recent_write_missed", error=error.detail)

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
