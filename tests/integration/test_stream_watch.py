"""`watch` on a WebSocket over real NATS: counts at once, whenever they change, again after a lost broker; errors name their field."""

import json
import uuid
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from aviary.engage.v1.events_pb2 import CountsChanged

from edge.stream.doorkeeper import StreamLimits
from runtime.config import MeshConfig
from tests.integration.edge_world import token
from tests.integration.stream_world import Client, StreamWorld, stream_world
from tests.unit.views.world import text


@pytest_asyncio.fixture(scope="module")
async def it(mesh_config: MeshConfig) -> AsyncIterator[StreamWorld]:
    async with stream_world(mesh_config, StreamLimits(heartbeat_s=60)) as world:
        yield world


async def like(it: StreamWorld, user: bytes, tweet: bytes, told: bool = True) -> None:
    """Like as svc_engage does, whose owner of the partition announces the new count."""
    it.world.mark("like", user, tweet)
    if told:
        partition = (zlib.crc32(tweet) % 256).to_bytes(2)
        await it.bus.signal(CountsChanged(partition=partition, subject_ids=[tweet]))


async def watch(client: Client, tweet_ids: Any, **more: Any) -> None:
    await client.socket.send(json.dumps({"type": "watch", "tweet_ids": tweet_ids, **more}))


async def likes(client: Client) -> tuple[str, int]:
    data = (await client.next("counts"))["data"]
    assert set(data) == {"tweet_id", "likes_count", "retweets_count", "replies_count", "quote_tweets_count"}
    return data["tweet_id"], data["likes_count"]


async def test_counts_of_watched_tweets_come_at_once_and_when_they_change(it: StreamWorld) -> None:
    """P62"""
    alice, bob = it.world.user("alice"), it.world.user("bob")
    tweet, other = it.world.tweet(bob), it.world.tweet(bob)
    async with it.open(alice) as client:
        await watch(client, [text(tweet)])
        assert await likes(client) == (text(tweet), 0)
        await like(it, bob, tweet)
        assert await likes(client) == (text(tweet), 1)
        await watch(client, [text(other)])
        assert await likes(client) == (text(other), 0)
        await like(it, alice, tweet)
        await like(it, alice, other)
        assert await likes(client) == (text(other), 1), "the new list replaces the old one"
        await it.delete(other)
        assert (await client.next("tweet_deleted"))["data"] == {"tweet_id": text(other)}


async def test_two_hundred_tweets_fit_a_message_and_one_more_is_named(it: StreamWorld) -> None:
    bob = it.world.user("bob")
    tweets = [text(it.world.tweet(bob)) for _ in range(201)]
    async with it.open(bob) as client:
        await watch(client, tweets)
        refused = (await client.next("error"))["data"]
        assert refused["reason"] == "INVALID_REQUEST" and [e["field"] for e in refused["errors"]] == ["tweet_ids"]
        await watch(client, tweets[1:])
        assert {(await likes(client))[0] for _ in range(200)} == set(tweets[1:])


async def test_a_watch_that_is_not_understood_leaves_everything_as_it_was(it: StreamWorld) -> None:
    bob = it.world.user("bob")
    tweet = it.world.tweet(bob)
    async with it.open(bob) as client:
        await watch(client, [text(tweet)])
        await likes(client)
        for wrong, field in ((["x"], "tweet_ids[0]"), ("x", "tweet_ids"), (None, "tweet_ids")):
            await watch(client, wrong)
            assert [e["field"] for e in (await client.next("error"))["data"]["errors"]] == [field]
        await watch(client, [], users=[])
        assert [e["field"] for e in (await client.next("error"))["data"]["errors"]] == ["users"]
        await like(it, bob, tweet)
        assert await likes(client) == (text(tweet), 1)


async def test_a_watch_before_the_token_ends_the_connection(it: StreamWorld) -> None:
    async with it.connect() as client:
        await watch(client, [])
        assert await client.closed() == (1008, "TOKEN_MISSING")


async def test_a_watch_that_is_sent_with_the_token_is_answered_after_the_greeting(it: StreamWorld) -> None:
    alice = it.world.user("alice")
    tweet = it.world.tweet(alice)
    async with it.connect() as client:
        await client.socket.send(json.dumps({"type": "auth", "access_token": token(uuid.UUID(bytes=alice))}))
        await watch(client, [text(tweet)])
        await client.next("hello")
        assert await likes(client) == (text(tweet), 0)


async def test_after_a_lost_broker_the_counts_are_asked_again(it: StreamWorld) -> None:
    """P59, P62"""
    alice = it.world.user("alice")
    tweet = it.world.tweet(alice)
    async with it.open(alice) as client:
        await watch(client, [text(tweet)])
        await likes(client)
        await like(it, alice, tweet, told=False)
        # The connection breaks under the client of NATS, which connects again by itself.
        it.bus._client._transport.close()
        while (message := await client.next())["type"] != "counts":
            assert message["type"] in ("gap", "tweet"), message
        assert message["data"]["likes_count"] == 1
        await like(it, it.world.user("bob"), tweet)
        assert await likes(client) == (text(tweet), 2)


async def test_a_closed_stream_watches_nothing(it: StreamWorld) -> None:
    alice = it.world.user("alice")
    async with it.open(alice) as client:
        await watch(client, [text(it.world.tweet(alice))])
        await likes(client)
        assert len(it.stream.watches) == 1
    await it.until(lambda: not len(it.stream.watches) and not it.stream.watches._heard)
