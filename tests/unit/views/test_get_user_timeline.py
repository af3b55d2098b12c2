"""GetUserTimeline: the tweets of one author for anybody."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.errors import from_rpc
from tests.unit.views.world import World, ids, text


async def page(world: World, author: bytes, **fields: object) -> view_pb2.GetUserTimelineResponse:
    return await world.views.GetUserTimeline(view_pb2.GetUserTimelineRequest(user_id=text(author), **fields))


async def test_it_shows_the_authors_tweets_newest_first(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    mine = [world.tweet(alice, f"{n}") for n in range(5)]
    world.tweet(bob)
    answer = await page(world, alice, limit=3)
    assert ids(answer) == mine[:1:-1] and answer.has_more
    rest = await page(world, alice, limit=3, max_id=answer.next_max_id)
    assert ids(rest) == [mine[1], mine[0]] and not rest.has_more and not rest.HasField("next_max_id")


async def test_an_unknown_author_is_not_found(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await page(world, b"x" * 16)
    assert from_rpc(failure.value).reason == "USER_NOT_FOUND"


async def test_an_author_without_tweets_is_an_empty_page(world: World) -> None:
    answer = await page(world, world.user("alice"))
    assert not answer.tweets and not answer.has_more


async def test_a_new_tweet_is_there_at_once_and_a_deleted_one_not(world: World) -> None:
    """P13, P18"""
    alice = world.user("alice")
    first = world.tweet(alice)
    await world.warm()
    await page(world, alice)
    second = world.tweet(alice)
    world.delete(first)
    assert ids(await page(world, alice)) == [second]


async def test_warm_it_is_two_rpcs(world: World) -> None:
    alice = world.user("alice")
    world.tweet(alice)
    await world.warm()
    await page(world, alice)
    with world.counting() as made:
        await page(world, alice)
    assert made == {"ListAuthorTweets": 1, "GetTweetCounts": 1}
