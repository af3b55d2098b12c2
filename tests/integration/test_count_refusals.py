"""What a server says that is there and can do nothing now; how a line breaks and comes back is tried on a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import hiredis
import pytest
from redis.exceptions import ResponseError

from redis_client.line import Line
from runtime.errors import Unavailable
from svc_engage.cache.redis import RedisCountCache
from svc_engage.domain.marks import Mark, MarkKind
from svc_engage.domain.relations import Count, Kind, Subject

ONE = b"1" * 16


class Refusing:
    """A Redis that answers everything but the greeting with one refusal."""

    def __init__(self) -> None:
        self.refusal = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(65_536):
            commands.feed(data)
            while command := commands.gets():
                known = command[0] in (b"SELECT", b"PING")
                writer.write(b"+OK\r\n" if known else f"-{self.refusal}\r\n".encode())
        writer.close()


@pytest.fixture
async def refusing() -> AsyncIterator[tuple[Refusing, Line]]:
    redis = Refusing()
    server = await asyncio.start_server(redis.serve, "127.0.0.1", 0)
    line = Line(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", silence_s=10)
    yield redis, line
    await line.aclose()
    server.close()


@pytest.mark.parametrize(
    "refusal",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "NOREPLICAS Not enough good replicas to write.",
        "READONLY You can't write against a read only replica.",
        "TRYAGAIN Multiple keys request during rehashing of slot",
    ],
)
async def test_a_server_that_can_do_nothing_now_fails_no_like_and_holds_up_no_counting(
    refusing: tuple[Refusing, Line], refusal: str
) -> None:
    """Who counts waits for Redis only when it is Unavailable, and a like that is stored is acknowledged whatever Redis says."""
    redis, line = refusing
    redis.refusal = refusal
    cache = RedisCountCache(line, "n")
    with pytest.raises(Unavailable):
        await cache.put({Subject(ONE, Kind.LIKES): Count(1, 10)})
    await cache.set_mark(ONE, MarkKind.LIKE, ONE, Mark(True, 10))
    assert cache.owes
    await cache.close()


@pytest.mark.parametrize("refusal", ["WRONGTYPE Operation against a key holding the wrong kind of value", "ERR no"])
async def test_a_key_that_cannot_be_written_holds_up_nobodys_likes_and_is_forgotten(
    refusing: tuple[Refusing, Line], refusal: str
) -> None:
    """Rows of 25 likes are written together, and counting waits for them: one user's key must not stop either."""
    redis, line = refusing
    redis.refusal = refusal
    cache = RedisCountCache(line, "n")
    await cache.set_mark(ONE, MarkKind.LIKE, ONE, Mark(True, 10))
    assert cache.owes
    await cache.close()


async def test_a_question_that_is_wrong_is_not_taken_for_a_server_that_is_away(refusing: tuple[Refusing, Line]) -> None:
    redis, line = refusing
    redis.refusal = "ERR unknown command"
    with pytest.raises(ResponseError):
        await line.execute_command("NONSENSE")
