"""The Redis client, hash tags and function libraries; what the keys hold is the services' matter."""

import asyncio
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from redis import asyncio as aioredis
from redis import exceptions
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from runtime.config import MeshConfig
from runtime.errors import Unavailable

HASH_TAGS = 1
"""How many hash tags the keys of timelines share: 1 on one machine, about 8 per primary in a cluster; fixed for ever."""

_TIMEOUT_S = 1.0
_MAX_CONNECTIONS = 64
_AWAY = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError, OSError, TimeoutError)
# Full, or changing its primary: a state of the server, not an answer to the command.
_UNABLE = (exceptions.OutOfMemoryError, exceptions.ReadOnlyError, exceptions.ClusterDownError)


class Redis(aioredis.Redis):
    """redis-py's client, whose commands and pipelines raise `Unavailable` within about 2 s when the server is away or full."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """One command; every method of the client ends here."""
        with _translated():
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Commands sent together; `transaction=False` leaves out MULTI and EXEC."""
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _Pipeline(Pipeline):
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        with _translated():
            return await super().execute(raise_on_error)


def connect_redis(config: MeshConfig) -> Redis:
    """A client that connects at its first command. Answers are bytes; waits are bounded; a broken connection is tried once again."""
    pool = aioredis.BlockingConnectionPool.from_url(
        config.redis_url,
        max_connections=_MAX_CONNECTIONS,
        timeout=_TIMEOUT_S,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis(connection_pool=pool)


def tag(user_id: bytes) -> str:
    """The hash tag `{t0}` of a user's keys: keys with one tag can be named in one function call on Redis Cluster."""
    return f"{{t{zlib.crc32(user_id) % HASH_TAGS}}}"


class Commands(Protocol):
    """Whoever sends a command and answers with the reply to it, or raises as Redis does."""

    async def execute_command(self, *args: Any) -> Any:
        """One command."""


class Functions:
    """A library of Redis functions, loaded again by itself when the server forgot it (restarted, emptied)."""

    def __init__(self, client: Commands, source: str) -> None:
        """`source` begins with `#!lua name=<library>`; a changed library gets a new name, or two versions would replace each other."""
        self._client = client
        self._source = source
        self._loading = asyncio.Lock()

    async def call(self, name: str, keys: Sequence[bytes | str], args: Sequence[bytes | str | int]) -> Any:
        """FCALL. Raises Unavailable when the server is away, redis.exceptions.ResponseError when the function fails."""
        try:
            return await self._call(name, keys, args)
        except exceptions.ResponseError as error:
            if "function not found" not in str(error).lower():
                raise
        async with self._loading:
            await self._client.execute_command("FUNCTION", "LOAD", "REPLACE", self._source)
        return await self._call(name, keys, args)

    async def _call(self, name: str, keys: Sequence[bytes | str], args: Sequence[bytes | str | int]) -> Any:
        return await self._client.execute_command("FCALL", name, len(keys), *keys, *args)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (*_AWAY, *_UNABLE) as error:
        raise Unavailable(f"Redis did not answer ({type(error).__name__}: {error})", retry_after_s=1) from error
