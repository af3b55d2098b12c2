"""ListTweetLikes: who likes a tweet, for anybody who may see the tweet."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, text


async def likers(world: World, tweet: bytes, viewer: bytes = b"", **fields: object) -> view_pb2.ListTweetLikesResponse:
    with acting(caller(viewer)):
        return await world.views.ListTweetLikes(view_pb2.ListTweetLikesRequest(tweet_id=text(tweet), **fields))


async def test_pages_of_people_join_latest_like_first_and_lost_accounts_are_skipped(world: World) -> None:
    """P25, P31"""
    author = world.user("author")
    tweet = world.tweet(author)
    fans = [world.user(f"fan{n}") for n in range(5)]
    for fan in fans:
        world.mark("like", fan, tweet)
    del world.users[fans[1]]
    names, cursor = [], ""
    while True:
        page = await likers(world, tweet, limit=2, **({"cursor": cursor} if cursor else {}))
        names += [user.username for user in page.users]
        assert page.has_more == page.HasField("next_cursor")
        if not page.has_more:
            break
        cursor = page.next_cursor
    assert names == ["fan4", "fan3", "fan2", "fan0"]
    assert world.calls["GetTweetCounts"] == 0


@pytest.mark.parametrize("viewer", ["", "author", "stranger"])
async def test_a_deleted_or_unknown_tweet_has_no_likers_for_anybody(world: World, viewer: str) -> None:
    """P18"""
    people = {name: world.user(name) for name in ("author", "stranger")}
    tweet = world.tweet(people["author"])
    world.mark("like", people["stranger"], tweet)
    await world.warm()
    assert len((await likers(world, tweet, people.get(viewer, b""))).users) == 1
    await world.signal_delete(tweet)
    for gone in (tweet, b"x" * 16):
        with pytest.raises(aio.AioRpcError) as failure:
            await likers(world, gone, people.get(viewer, b""))
        assert from_rpc(failure.value).reason == "TWEET_NOT_FOUND"


async def test_a_bad_cursor_is_refused(world: World) -> None:
    """P34"""
    tweet = world.tweet(world.user("author"))
    with pytest.raises(aio.AioRpcError) as failure:
        await likers(world, tweet, cursor="forged")
    assert from_rpc(failure.value).reason == "INVALID_CURSOR"
