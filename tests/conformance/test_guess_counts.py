"""Each promise of Counts, in memory and in Redis, and what is counted while Redis is away."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from redis_client.line import Line
from runtime.config import MeshConfig
from svc_user.guess_counts import Counts, Limit, LocalCounts, RedisCounts

NOW = 1_750_000_000_000
TEN = Limit(10, 60_000)


@pytest_asyncio.fixture
async def line(mesh_config: MeshConfig) -> AsyncIterator[Line]:
    """As patient as no service, so that a slow machine is not taken for a Redis that is away."""
    line = Line(mesh_config.redis_url, silence_s=60)
    yield line
    await line.aclose()


@pytest_asyncio.fixture(params=["memory", "redis"])
async def counts(request: pytest.FixtureRequest, line: Line, mesh_config: MeshConfig) -> Counts:
    return LocalCounts() if request.param == "memory" else RedisCounts(line, mesh_config.namespace)


def a_key() -> str:
    return uuid.uuid4().hex


async def test_so_many_tries_are_counted_and_the_next_is_told_when_it_may(counts: Counts) -> None:
    key = a_key()
    assert [await counts.take(key, TEN, NOW) for _ in range(12)] == [0] * 10 + [6000] * 2
    assert await counts.take(key, TEN, NOW + 5999) == 1
    assert await counts.take(key, TEN, NOW + 6000) == 0
    assert await counts.take(key, TEN, NOW + 6000) == 6000


async def test_of_a_hundred_tries_at_once_so_many_are_counted(counts: Counts) -> None:
    key = a_key()
    waits = await asyncio.gather(*(counts.take(key, TEN, NOW) for _ in range(100)))
    assert sum(wait == 0 for wait in waits) == 10


async def test_a_try_that_is_given_back_makes_room_for_one(counts: Counts) -> None:
    key = a_key()
    for _ in range(10):
        await counts.take(key, TEN, NOW)
    await counts.give_back(key, TEN, NOW)
    assert [await counts.take(key, TEN, NOW) for _ in range(2)] == [0, 6000]


async def test_more_is_never_given_back_than_was_counted(counts: Counts) -> None:
    key = a_key()
    await counts.take(key, TEN, NOW)
    for _ in range(5):
        await counts.give_back(key, TEN, NOW)
    assert sum([await counts.take(key, TEN, NOW) == 0 for _ in range(20)]) == 10


async def test_after_the_window_everything_is_as_before(counts: Counts) -> None:
    key = a_key()
    for _ in range(10):
        await counts.take(key, TEN, NOW)
    later = NOW + TEN.window_ms
    assert [await counts.take(key, TEN, later) for _ in range(11)] == [0] * 10 + [6000]


async def test_a_clock_that_is_behind_neither_fills_nor_empties(counts: Counts) -> None:
    key = a_key()
    for _ in range(10):
        await counts.take(key, TEN, NOW)
    assert await counts.take(key, TEN, NOW - 30_000) == 6000
    assert await counts.take(key, TEN, NOW) == 6000


async def test_keys_are_counted_apart(counts: Counts) -> None:
    key = a_key()
    for _ in range(10):
        await counts.take(key, TEN, NOW)
    assert await counts.take(a_key(), TEN, NOW) == 0


async def test_what_redis_holds_expires(line: Line, mesh_config: MeshConfig) -> None:
    key = a_key()
    await RedisCounts(line, mesh_config.namespace).take(key, TEN, NOW)
    assert 0 < await line.execute_command("PTTL", f"{mesh_config.namespace}:guesses:{key}") <= TEN.window_ms


async def test_two_processes_count_together(line: Line, mesh_config: MeshConfig) -> None:
    key = a_key()
    one, other = (RedisCounts(line, mesh_config.namespace) for _ in range(2))
    for _ in range(5):
        assert await one.take(key, TEN, NOW) == 0
        assert await other.take(key, TEN, NOW) == 0
    assert await one.take(key, TEN, NOW) == 6000


async def test_without_redis_a_process_counts_for_itself_and_allows_half_as_many(mesh_config: MeshConfig) -> None:
    away = Line("redis://127.0.0.1:1/0")
    counts = RedisCounts(away, mesh_config.namespace)
    key = a_key()
    assert [await counts.take(key, TEN, NOW) for _ in range(6)] == [0] * 5 + [12_000]
    await counts.give_back(key, TEN, NOW)
    assert await counts.take(key, TEN, NOW) == 0
    await away.aclose()
