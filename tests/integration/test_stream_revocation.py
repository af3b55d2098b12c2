"""A stream lives as long as its login may: ends that are heard, ends that nobody told, and comings in while svc_user is away (P42)."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aviary.user.v1 import user_pb2

from edge.stream.doorkeeper import StreamLimits
from runtime.config import MeshConfig
from tests.integration.stream_world import Client, StreamWorld, stream_world
from tests.unit.edge.logins import KEY
from tests.unit.edge.tokens import claims, forgeries

WITHIN_S = 5.0


@pytest_asyncio.fixture(scope="module")
async def it(mesh_config: MeshConfig) -> AsyncIterator[StreamWorld]:
    async with stream_world(mesh_config, StreamLimits(heartbeat_s=1)) as world:
        yield world


def bearer(access: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access}"}


async def ended(client: Client, reason: str) -> None:
    """The stream says why it ends, and ends."""
    async with asyncio.timeout(WITHIN_S):
        assert (await client.next("revoked"))["data"] == {"reason": reason}
        assert await client.closed() == (1008, reason)


async def test_a_login_that_ends_ends_its_streams_and_no_others(it: StreamWorld) -> None:
    alice = it.world.user("alice")
    (access, login), (other, _) = it.logins.token(alice), it.logins.token(alice)
    async with (
        it.connect("", bearer(access)) as first,
        it.connect("", bearer(access)) as second,
        it.connect("", bearer(other)) as third,
    ):
        for client in (first, second, third):
            await client.next("hello")
        await it.bus.signal(it.logins.end(login))
        await asyncio.gather(ended(first, "TOKEN_INVALID"), ended(second, "TOKEN_INVALID"))
        assert await it.post(alice) == await third.tweet()
    async with it.connect("", bearer(access)) as again:
        assert await again.closed() == (1008, "TOKEN_INVALID")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(user_pb2.USER_STATUS_SUSPENDED, "ACCOUNT_SUSPENDED"), (user_pb2.USER_STATUS_DELETED, "TOKEN_INVALID")],
)
async def test_an_account_that_may_do_nothing_has_no_stream(it: StreamWorld, status: int, reason: str) -> None:
    alice, bob = it.world.user("alice"), it.world.user("bob")
    (access, _), (bobs, _) = it.logins.token(alice), it.logins.token(bob)
    async with it.connect("", bearer(access)) as client, it.connect("", bearer(bobs)) as other:
        await client.next("hello")
        await other.next("hello")
        await it.bus.signal(it.logins.change(alice, status))
        await ended(client, reason)
        assert await it.post(bob) == await other.tweet()
    async with it.connect() as again:
        await again.socket.send(json.dumps({"type": "auth", "access_token": access}))
        assert await again.closed() == (1008, reason)


async def test_an_end_that_no_signal_told_is_known_within_five_seconds(it: StreamWorld) -> None:
    """NATS takes nothing, or svc_user died between its write and its signal."""
    alice = it.world.user("alice")
    access, login = it.logins.token(alice)
    async with it.connect("", bearer(access)) as client:
        await client.next("hello")
        it.logins.silent = True
        started = time.monotonic()
        try:
            it.logins.end(login)
            await ended(client, "TOKEN_INVALID")
        finally:
            it.logins.silent = False
        assert time.monotonic() - started < WITHIN_S


async def test_streams_outlive_a_svc_user_that_is_away(it: StreamWorld) -> None:
    """Promise 9: nobody can end a login there meanwhile."""
    alice = it.world.user("alice")
    access, _ = it.logins.token(alice)
    unseen, _ = it.logins.token(alice)
    async with it.connect("", bearer(access)) as client:
        await client.next("hello")
        it.logins.silent = it.logins.away = True
        try:
            asked = len(it.logins.asked)
            await it.until(lambda: len(it.logins.asked) > asked + 2)
            assert await it.post(alice) == await client.tweet()
            async with it.connect("", bearer(access)) as known:
                await known.next("hello")
            async with it.connect("", bearer(unseen)) as unknown:
                assert await unknown.closed() == (1013, "DEPENDENCY_UNAVAILABLE")
        finally:
            it.logins.silent = it.logins.away = False


async def test_what_is_said_while_the_login_is_asked_about_is_heard_afterwards(it: StreamWorld) -> None:
    """Clients may watch as soon as they have sent their token."""
    alice = it.world.user("alice")
    tweet = await it.post(alice)
    access, _ = it.logins.token(alice)
    it.logins.hold, it.logins.reached = asyncio.Event(), asyncio.Event()
    async with it.connect("", bearer(access)) as client:
        await it.logins.reached.wait()
        watch = {"type": "watch", "tweet_ids": [str(uuid.UUID(bytes=tweet))]}
        await client.socket.send(json.dumps(watch))
        await client.socket.send(json.dumps({"type": "pong"}))
        it.logins.hold.set()
        await client.next("hello")
        assert (await client.next("counts"))["data"]["likes_count"] == 0
    it.logins.hold = None


async def test_nobody_talks_without_end_before_the_first_message(it: StreamWorld) -> None:
    access, _ = it.logins.token(it.world.user("alice"))
    it.logins.hold = asyncio.Event()
    async with it.connect("", bearer(access)) as client:
        for _ in range(20):
            await client.socket.send(json.dumps({"type": "pong"}))
        assert await client.closed() == (1008, "INVALID_REQUEST")
    it.logins.hold.set()
    it.logins.hold = None


async def test_a_forged_token_opens_no_stream(it: StreamWorld) -> None:
    for wrong, access in forgeries(KEY, claims()).items():
        async with it.connect("", bearer(access)) as client:
            assert await client.closed() == (1008, "TOKEN_INVALID"), wrong
