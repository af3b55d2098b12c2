"""`/api/v1/stream` over WebSockets on real NATS and Redis: who is let in, what arrives, what is made up for, when it ends."""

import asyncio
import base64
import json
import os
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from edge.stream.doorkeeper import StreamLimits
from edge.stream.messages import StreamCursors
from edge.stream.requests import MAX_MESSAGE_BYTES
from runtime.config import MeshConfig
from tests.integration.edge_world import token
from tests.integration.stream_world import CLOCK, WITHIN_S, StreamWorld, stream_world


@pytest_asyncio.fixture(scope="module")
async def it(mesh_config: MeshConfig) -> AsyncIterator[StreamWorld]:
    async with stream_world(mesh_config, StreamLimits(heartbeat_s=1, token_within_s=0.3)) as world:
        yield world


def pair(it: StreamWorld) -> tuple[bytes, bytes]:
    """Alice, who follows Bob."""
    alice, bob = it.world.user("alice"), it.world.user("bob")
    it.world.follow(alice, bob)
    return alice, bob


def text(raw: bytes) -> str:
    return str(uuid.UUID(bytes=raw))


async def test_a_tweet_arrives_whole(it: StreamWorld) -> None:
    alice, bob = pair(it)
    async with it.open(alice) as client:
        assert client.socket.subprotocol == "aviary.v1"
        assert client.hello["data"] == {"cursor": client.hello["id"], "heartbeat_seconds": 1}
        tweet = await it.post(bob, "live")
        message = await client.next("tweet")
    data = message["data"]
    assert (data["tweet_id"], data["content"], data["user"]["username"]) == (text(tweet), "live", "bob")
    assert data["likes_count"] == 0 and data["user"]["profile_image_url"] is None and message["id"]


async def test_ones_own_post_from_elsewhere_arrives_on_every_socket(it: StreamWorld) -> None:
    alice = it.world.user("alice")
    async with it.open(alice) as one, it.open(alice) as two:
        tweet = await it.post(alice)
        assert await one.tweet() == await two.tweet() == tweet


async def test_a_deletion_arrives_at_followers_and_author_only(it: StreamWorld) -> None:
    """P18"""
    alice, bob = pair(it)
    stranger = it.world.user("stranger")
    tweet = await it.post(bob)
    other = await it.post(stranger)
    async with it.open(alice) as follower, it.open(bob) as author, it.open(stranger) as nobody:
        await it.delete(tweet)
        for client in (follower, author):
            assert (await client.next("tweet_deleted"))["data"] == {"tweet_id": text(tweet)}
        await it.delete(other)
        assert (await nobody.next("tweet_deleted"))["data"] == {"tweet_id": text(other)}


async def test_what_is_deleted_before_its_signal_never_appears(it: StreamWorld) -> None:
    """P19, P48"""
    alice, bob = pair(it)
    async with it.open(alice) as client:
        zombie = it.world.tweet(bob, "zombie")
        await it.delete(zombie)
        assert (await client.next("tweet_deleted"))["data"]["tweet_id"] == text(zombie)
        await it.signal(it.stream.edge_id, zombie, bob, [alice])
        after = await it.post(bob, "after")
        assert await client.tweet() == after


async def test_an_unfollow_while_connected_hides_the_next_event(it: StreamWorld) -> None:
    """P47, P48: the delivery that was already on its way is judged like a home."""
    alice, bob = pair(it)
    async with it.open(alice) as client:
        assert await it.post(bob) == await client.tweet()
        late = it.world.tweet(bob, "on its way")
        await it.follow(alice, bob, following=False)
        await it.until(lambda: (sight := it.world.deps.relations.sight(alice)) is not None and bob not in sight.follows)
        await it.signal(it.stream.edge_id, late, bob, [alice])
        mine = await it.post(alice, "mine")
        assert await client.tweet() == mine


async def test_a_new_follow_while_connected_shows_the_next_tweet(it: StreamWorld) -> None:
    alice, bob = pair(it)
    carol = it.world.user("carol")
    async with it.open(alice) as client:
        assert await it.post(bob) == await client.tweet()
        it.world.follow(alice, carol)
        assert await it.post(carol) == await client.tweet(), "the cached snapshot is older than the follow"


async def test_a_tweet_that_is_delivered_twice_appears_once(it: StreamWorld) -> None:
    alice, bob = pair(it)
    async with it.open(alice) as client:
        tweet = await it.post(bob)
        await it.signal(it.stream.edge_id, tweet, bob, [alice])
        after = await it.post(bob)
        assert [await client.tweet(), await client.tweet()] == [tweet, after]


async def test_a_tweet_is_loaded_once_for_all_its_readers(it: StreamWorld) -> None:
    """P61"""
    bob = it.world.user("bob")
    readers = [it.world.user(f"r{n}") for n in range(5)]
    for reader in readers:
        it.world.follow(reader, bob)
    async with it.open(readers[0]) as a, it.open(readers[1]) as b, it.open(readers[2]) as c:
        before = it.world.calls["GetTweets"]
        tweet = await it.post(bob)
        assert {await a.tweet(), await b.tweet(), await c.tweet()} == {tweet}
        assert it.world.calls["GetTweets"] == before + 1


async def test_a_cursor_continues_without_a_hole_oldest_first(it: StreamWorld) -> None:
    alice, bob = pair(it)
    async with it.open(alice) as client:
        first = await it.post(bob)
        cursor = (await client.next("tweet"))["id"]
    missed = [await it.post(bob, f"missed {n}") for n in range(3)]
    async with it.open(alice, f"?cursor={cursor}") as client:
        seen = [await client.tweet() for _ in range(4)]
        assert seen == [first, *missed], "the overlap repeats what came shortly before"
        assert await it.post(bob) == await client.tweet()


async def test_resuming_shows_only_what_rest_would_show(it: StreamWorld) -> None:
    """P48"""
    alice, bob = pair(it)
    async with it.open(alice) as client:
        cursor = client.hello["id"]
    kept, gone = await it.post(bob), await it.post(bob)
    await it.delete(gone, lost=True)
    it._tweets_sequence -= 1
    async with it.open(alice, f"?cursor={cursor}") as client:
        assert await client.tweet() == kept
        assert await it.post(bob) == await client.tweet()


async def test_a_cursor_older_than_ten_minutes_is_a_gap(it: StreamWorld) -> None:
    alice, bob = pair(it)
    old = StreamCursors(it.cursors).seal(alice, CLOCK.now_ms() - 11 * 60_000)
    async with it.open(alice, f"?cursor={old}") as client:
        assert client.hello["data"]["cursor"]
        await client.next("gap")
        assert await it.post(bob) == await client.tweet()


async def test_a_lost_signal_is_made_up_for(it: StreamWorld) -> None:
    alice, bob = pair(it)
    async with it.open(alice) as client:
        assert await it.post(bob) == await client.tweet()
        lost = await it.post(bob, lost=True)
        found = await it.post(bob)
        assert {await client.tweet(), await client.tweet()} == {lost, found}


async def test_a_lost_deletion_is_a_gap(it: StreamWorld) -> None:
    alice, bob = pair(it)
    tweet = await it.post(bob)
    async with it.open(alice) as client:
        await it.delete(tweet, lost=True)
        await client.next("gap")


async def test_what_was_posted_while_presence_was_forgotten_arrives_late(it: StreamWorld) -> None:
    """Redis was emptied: within seconds the edge has written its readers down again."""
    alice, bob = pair(it)
    async with it.open(alice) as client:
        keys = [k async for k in it.redis.scan_iter(match=b"*presence*")]
        keys += [k async for k in it.redis.scan_iter(match=b"*edge:*")]  # an id is no pattern: it may hold a bracket
        ours = [k for k in keys if alice in k or it.stream.edge_id in k]
        assert len(ours) == 2
        await it.redis.delete(*ours)
        tweet = await it.post(bob)
        assert await client.tweet() == tweet


async def test_heartbeats_come_and_carry_cursors(it: StreamWorld) -> None:
    async with it.open(it.world.user("alice")) as client:
        first, second = await client.next("ping"), await client.next("ping")
        assert first["data"] == {} and first["id"] != second["id"]


@pytest.mark.parametrize("way", ["header", "query", "message"])
async def test_the_token_may_come_in_three_ways(it: StreamWorld, way: str) -> None:
    alice = it.world.user("alice")
    access = token(uuid.UUID(bytes=alice))
    headers = {"Authorization": f"Bearer {access}"} if way == "header" else None
    query = f"?access_token={access}" if way == "query" else ""
    async with it.connect(query, headers, subprotocols=None if way == "query" else ["aviary.v1"]) as client:
        if way == "message":
            await client.socket.send(json.dumps({"type": "auth", "access_token": access}))
        await client.next("hello")
        assert await it.post(alice) == await client.tweet()


@pytest.mark.parametrize(
    ("access", "reason"),
    [
        ("nonsense", "TOKEN_INVALID"),
        (token(expires_in=-10), "TOKEN_EXPIRED"),
        (token(scopes=("write",), expires_in=24 * 3600), "INSUFFICIENT_SCOPE"),
    ],
)
async def test_a_bad_token_closes_with_its_reason(it: StreamWorld, access: str, reason: str) -> None:
    async with it.connect(f"?access_token={access}") as client:
        assert await client.closed() == (1008, reason)
    async with it.connect() as client:
        await client.socket.send(json.dumps({"type": "auth", "access_token": access}))
        assert await client.closed() == (1008, reason)
    async with it.connect("", {"Authorization": f"Bearer {access}"}) as client:
        assert await client.closed() == (1008, reason)


async def test_without_a_token_the_connection_ends_soon(it: StreamWorld) -> None:
    async with it.connect() as client:
        assert await client.closed() == (1008, "TOKEN_MISSING")


@pytest.mark.parametrize("message", ["hi", "{}", '{"type":"stare"}', '{"type":"auth","access_token":5}'])
async def test_other_messages_are_refused_with_those_that_there_are(it: StreamWorld, message: str) -> None:
    async with it.open(it.world.user("alice")) as client:
        await client.socket.send(message)
        [problem] = (await client.next("error"))["data"]["errors"]
        assert problem["field"] == "type"
        assert all(f'"type":"{known}"' in problem["message"] for known in ("auth", "watch", "pong"))
        assert await client.closed() == (1008, "INVALID_REQUEST")


async def test_a_message_of_more_than_16_kib_ends_the_connection_with_1009(it: StreamWorld) -> None:
    """P60: no client makes the edge hold more. What is as long as may be is read, and refused for what it says."""
    for excess, expected in ((0, 1008), (1, 1009)):
        async with it.open(it.world.user("alice")) as client:
            await client.socket.send("x" * (MAX_MESSAGE_BYTES + excess))
            assert (await client.closed())[0] == expected


async def test_binary_messages_are_refused(it: StreamWorld) -> None:
    async with it.open(it.world.user("alice")) as client:
        await client.socket.send(b"{}")
        assert (await client.closed())[0] == 1003


@pytest.mark.parametrize(
    ("query", "field"), [("?watch=1", "watch"), ("?cursor=a&cursor=b", "cursor"), ("?cursor=forged", "cursor")]
)
async def test_bad_parameters_are_400_and_named(it: StreamWorld, query: str, field: str) -> None:
    """P34"""
    with pytest.raises(InvalidStatus) as refused:
        async with it.open(it.world.user("alice"), query):
            pass
    response = refused.value.response
    assert response.status_code == 400 and response.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(response.body)
    assert problem["errors"][0]["field"] == field and problem["request_id"] == response.headers["X-Request-Id"]


async def test_anothers_cursor_is_refused(it: StreamWorld) -> None:
    """P34"""
    alice, bob = pair(it)
    async with it.open(bob) as client:
        cursor = client.hello["id"]
    with pytest.raises(InvalidStatus) as refused:
        async with it.open(alice, f"?cursor={cursor}"):
            pass
    assert json.loads(refused.value.response.body)["reason"] == "INVALID_CURSOR"


async def test_other_paths_and_subprotocols_are_refused(it: StreamWorld) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with it.connect("x"):
            pass
    assert refused.value.response.status_code == 404
    with pytest.raises(InvalidStatus) as refused:
        async with it.connect(subprotocols=["other.v1"]):
            pass
    assert refused.value.response.status_code == 400


@pytest.mark.parametrize(
    ("method", "headers", "answer"),
    [
        ("GET", "Sec-WebSocket-Version: 13", "400 Bad Request"),
        ("GET", "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "400 Bad Request"),
        ("POST", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "405 Method Not Allowed"),
    ],
)
async def test_less_than_a_handshake_is_answered_with_a_problem(
    it: StreamWorld, method: str, headers: str, answer: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    upgrade = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket"
    writer.write(f"{method} /api/v1/stream HTTP/1.1\r\n{upgrade}\r\n{headers}\r\n\r\n".encode())
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WITHIN_S)).decode()
    assert head.startswith(f"HTTP/1.1 {answer}")
    assert "content-type: application/problem+json" in head and "x-request-id: " in head
    writer.close()


async def test_an_expired_token_ends_the_stream_and_a_new_one_keeps_it(it: StreamWorld) -> None:
    """P42"""
    alice = it.world.user("alice")
    async with it.open(alice, expires_in=2) as ending, it.open(alice, expires_in=2) as kept:
        fresh = token(uuid.UUID(bytes=alice))
        await kept.socket.send(json.dumps({"type": "auth", "access_token": fresh}))
        assert (await ending.next("revoked"))["data"] == {"reason": "TOKEN_EXPIRED"}
        assert await ending.closed() == (1008, "TOKEN_EXPIRED")
        assert await it.post(alice) == await kept.tweet()


async def test_anothers_token_does_not_renew(it: StreamWorld) -> None:
    alice, bob = pair(it)
    async with it.open(alice) as client:
        await client.socket.send(json.dumps({"type": "auth", "access_token": token(uuid.UUID(bytes=bob))}))
        assert await client.closed() == (1008, "TOKEN_INVALID")


async def test_a_closed_stream_is_forgotten(it: StreamWorld) -> None:
    alice = it.world.user("alice")
    async with it.open(alice):
        assert it.stream.edge_id in await it.presence.edges_of([alice])
    await it.until(lambda: not any(s.viewer == alice for s in it.stream.hub))
    async with asyncio.timeout(10):
        while await it.presence.edges_of([alice]):  # noqa: ASYNC110 - Redis has no event for it
            await asyncio.sleep(0.01)


async def test_a_reader_that_does_not_read_is_closed_and_others_are_not_disturbed(it: StreamWorld) -> None:
    """P60: the buffer is bounded."""
    bob = it.world.user("bob")
    slow, quick = it.world.user("slow"), it.world.user("quick")
    it.world.follow(slow, bob)
    it.world.follow(quick, bob)
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port, limit=1024)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /api/v1/stream?access_token={token(uuid.UUID(bytes=slow))} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    await it.until(lambda: any(s.viewer == slow for s in it.stream.hub))
    stalled = next(s for s in it.stream.hub if s.viewer == slow)
    writer.transport.pause_reading()
    async with it.open(quick) as client:
        big = "x" * 4000
        for n in range(4000):
            tweet = it.world.tweet(bob, f"{n} {big}")
            await it.signal(it.stream.edge_id, tweet, bob, [slow, quick])
            assert await client.tweet() == tweet
            if stalled.closed:
                break
        assert stalled.closed
        assert await it.post(bob) == await client.tweet()
    await it.until(lambda: not any(s.viewer == slow for s in it.stream.hub))
    writer.transport.abort()


async def test_stopping_the_server_closes_with_1001(mesh_config: MeshConfig) -> None:
    async with stream_world(mesh_config) as world:
        reader = world.world.user("alice")
        context = world.open(reader)
        client = await context.__aenter__()
    assert (await client.closed())[0] == 1001
    await context.__aexit__(None, None, None)
