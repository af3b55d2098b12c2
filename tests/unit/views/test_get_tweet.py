"""GetTweet: one tweet for anybody."""

import grpc
import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, text


async def get(world: World, tweet_id: bytes, viewer: bytes = b"") -> view_pb2.Tweet:
    with acting(caller(viewer)):
        return (await world.views.GetTweet(view_pb2.GetTweetRequest(tweet_id=text(tweet_id)))).tweet


async def ensure_not_found(world: World, tweet_id: bytes, viewer: bytes = b"") -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await get(world, tweet_id, viewer)
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND
    assert from_rpc(failure.value).reason == "TWEET_NOT_FOUND"


async def test_nobody_owner_and_stranger_see_it(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    tweet = world.tweet(alice, "hi")
    for viewer in (b"", alice, bob):
        assert (await get(world, tweet, viewer)).content == "hi"


async def test_an_unknown_tweet_is_not_found(world: World) -> None:
    await ensure_not_found(world, b"x" * 16)


async def test_a_malformed_id_names_the_field(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.GetTweet(view_pb2.GetTweetRequest(tweet_id="nonsense"))
    assert from_rpc(failure.value).fields[0].field == "tweet_id"


async def test_a_deleted_tweet_is_not_found(world: World) -> None:
    """P18: in the cache or not."""
    alice = world.user("alice")
    seen, unseen = world.tweet(alice), world.tweet(alice)
    await world.warm()
    await get(world, seen)
    await world.signal_delete(seen)
    world.delete(unseen)
    await ensure_not_found(world, seen)
    await ensure_not_found(world, unseen)


async def test_its_author_never_sees_it_again_even_before_the_signal(world: World) -> None:
    alice = world.user("alice")
    tweet = world.tweet(alice)
    await world.warm()
    await get(world, tweet, alice)
    world.delete(tweet)
    await ensure_not_found(world, tweet, alice)


async def test_a_tweet_without_author_is_not_found(world: World) -> None:
    alice = world.user("alice")
    tweet = world.tweet(alice)
    del world.users[alice]
    await ensure_not_found(world, tweet)


async def test_warm_only_its_counts_are_asked_for(world: World) -> None:
    alice = world.user("alice")
    tweet = world.tweet(alice)
    await world.warm()
    await get(world, tweet)
    with world.counting() as made:
        await get(world, tweet)
    assert made == {"GetTweetCounts": 1}
