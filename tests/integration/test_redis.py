"""The Redis client on a real server: functions that come back, errors that are ours, own writes of the last minute."""

import asyncio
import dataclasses
import os
import re
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from redis.exceptions import ResponseError

from readers.recent import DELETED_TWEET, KEPT_S, MISSED, OWN_TWEET, RecentWrites
from redis_client import Functions, Redis, connect_redis
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from tests.pipelines import executed_pipelines
from tests.proxy import Proxy, proxy_before


@pytest.fixture(scope="session")
async def redis(mesh_config: MeshConfig) -> AsyncIterator[Redis]:
    client = connect_redis(mesh_config)
    yield client
    await client.aclose()


@pytest.fixture
async def far(mesh_config: MeshConfig) -> AsyncIterator[tuple[Redis, Proxy]]:
    """A client over a network that can break."""
    async with proxy_before(urlsplit(mesh_config.redis_url).port or 0) as proxy:
        client = connect_redis(dataclasses.replace(mesh_config, redis_url=f"redis://127.0.0.1:{proxy.port}/0"))
        yield client, proxy
        await client.aclose()


@pytest.fixture
async def library(redis: Redis) -> AsyncIterator[str]:
    name = f"lib{uuid.uuid4().hex}"
    yield name
    await redis.execute_command("FUNCTION", "DELETE", name)


def source(library: str) -> str:
    return f"""#!lua name={library}
redis.register_function('{library}_join', function(keys, args) return keys[1] .. args[1] end)
redis.register_function('{library}_fail', function(keys, args) return redis.error_reply(args[1]) end)
"""


async def test_a_function_is_loaded_at_its_first_call_and_again_when_the_server_forgot_it(
    redis: Redis, library: str
) -> None:
    functions = Functions(redis, source(library))
    assert await functions.call(f"{library}_join", ["a"], ["b"]) == b"ab"
    await redis.execute_command("FUNCTION", "DELETE", library)
    answers = await asyncio.gather(*(functions.call(f"{library}_join", [b"a"], [n]) for n in range(20)))
    assert answers == [b"a%d" % n for n in range(20)]


async def test_a_function_that_fails_says_so(redis: Redis, library: str) -> None:
    functions = Functions(redis, source(library))
    with pytest.raises(ResponseError, match="mine"):
        await functions.call(f"{library}_fail", ["a"], ["ERR mine"])


@pytest.mark.parametrize(
    "reply",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
    ],
)
async def test_a_server_that_can_do_nothing_now_is_unavailable(redis: Redis, library: str, reply: str) -> None:
    """Full, or changing its primary: that says nothing about the call, and what consumers do must wait, not be set aside."""
    functions = Functions(redis, source(library))
    cause = re.escape(reply.split(" ", 1)[1])
    with pytest.raises(Unavailable, match=cause):
        await functions.call(f"{library}_fail", ["a"], [reply])
    pipe = redis.pipeline(transaction=False)
    pipe.execute_command("FCALL", f"{library}_fail", 1, "a", reply)
    with pytest.raises(Unavailable, match=cause):
        await pipe.execute()


async def test_a_server_that_is_away_is_unavailable_and_comes_back_by_itself(far: tuple[Redis, Proxy]) -> None:
    client, proxy = far
    await client.ping()
    await proxy.cut()
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable, match=r"ConnectionError: .*[Cc]onnect"):
            await client.get("a")
        with pytest.raises(Unavailable):
            pipe = client.pipeline()
            pipe.get("a")
            await pipe.execute()
        with pytest.raises(Unavailable):
            await Functions(client, "").call("a", ["b"], [])
    await proxy.mend()
    await client.ping()


async def test_a_network_that_swallows_everything_ends_in_bounded_time(far: tuple[Redis, Proxy]) -> None:
    client, proxy = far
    await client.ping()
    proxy.freeze()
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await client.get("a")
    await proxy.mend()
    await client.ping()


async def test_own_writes_are_read_newest_first_and_expire(redis: Redis, namespace: str) -> None:
    recent, user = RecentWrites(redis, namespace), os.urandom(16)
    await recent.record(user, OWN_TWEET, b"1" * 16)
    await recent.record(user, DELETED_TWEET, b"1" * 16)
    assert await recent.read(user) == [(DELETED_TWEET, b"1" * 16), (OWN_TWEET, b"1" * 16)]
    assert await recent.read(os.urandom(16)) == []
    assert 0 < await redis.ttl(recent.key(user)) <= KEPT_S


async def test_recording_an_own_write_never_fails(far: tuple[Redis, Proxy]) -> None:
    client, proxy = far
    await proxy.cut()
    await RecentWrites(client, "n").record(os.urandom(16), OWN_TWEET, os.urandom(16))


async def test_writes_of_many_take_a_round_trip_for_a_hundred_and_each_user_reads_theirs(
    redis: Redis, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = executed_pipelines(monkeypatch)
    recent, people = RecentWrites(redis, namespace), [os.urandom(16) for _ in range(250)]
    await recent.record_all([(user, OWN_TWEET, user) for user in people] + [(people[0], DELETED_TWEET, b"2")])
    assert len(trips) == 3
    assert await recent.read(people[0]) == [(DELETED_TWEET, b"2"), (OWN_TWEET, people[0])]
    for user in people[1:]:
        assert await recent.read(user) == [(OWN_TWEET, user)]
        assert 0 < await redis.ttl(recent.key(user)) <= KEPT_S


async def test_writes_of_many_that_redis_misses_are_all_counted_and_tried_for_once(
    far: tuple[Redis, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, proxy = far
    await proxy.cut()
    trips, before = executed_pipelines(monkeypatch), MISSED._value.get()
    await RecentWrites(client, "n").record_all([(os.urandom(16), OWN_TWEET, os.urandom(16)) for _ in range(250)])
    assert MISSED._value.get() == before + 250
    assert len(trips) == 1
