"""ListUserLikes: what an account likes, for anybody."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, ids, text


async def likes(world: World, user: bytes, viewer: bytes = b"", **fields: object) -> view_pb2.ListUserLikesResponse:
    with acting(caller(viewer)):
        return await world.views.ListUserLikes(view_pb2.ListUserLikesRequest(user_id=text(user), **fields))


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20])
async def test_pages_of_any_size_give_the_same_whole(world: World, limit: int) -> None:
    """P31, P32, P18: in the order of liking, without what was deleted, and no page is short before the end."""
    alice, bob = world.user("alice"), world.user("bob")
    tweets = [world.tweet(bob) for _ in range(12)]
    liked = tweets[::-1][::2] + tweets[1::3]
    for tweet in liked:
        world.mark("like", alice, tweet)
    order = [t for n, t in enumerate(liked) if t not in liked[n + 1 :]][::-1]
    gone = order[1:4] + order[-1:]
    for tweet in gone:
        world.delete(tweet)
    seen: list[bytes] = []
    cursor = ""
    while True:
        page = await likes(world, alice, limit=limit, **({"cursor": cursor} if cursor else {}))
        seen += ids(page)
        assert page.has_more == page.HasField("next_cursor")
        if not page.has_more:
            break
        assert len(page.tweets) == limit
        cursor = page.next_cursor
    assert seen == [t for t in order if t not in gone]


async def test_who_deletes_an_own_liked_tweet_does_not_see_it_from_then_on(world: World) -> None:
    """P13: before any signal."""
    alice = world.user("alice")
    tweet = world.tweet(alice)
    world.mark("like", alice, tweet)
    await world.warm()
    assert ids(await likes(world, alice, alice)) == [tweet]
    world.delete(tweet)
    assert ids(await likes(world, alice, alice)) == []


async def test_flags_are_the_viewers_not_those_of_whose_likes_they_are(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    world.mark("like", alice, world.tweet(bob))
    assert [t.liked for t in (await likes(world, alice, bob)).tweets] == [False]
    assert [t.liked for t in (await likes(world, alice, alice)).tweets] == [True]


async def test_an_unknown_account_is_not_found_and_a_bad_cursor_refused(world: World) -> None:
    """P34"""
    for user, cursor, reason in ((b"x" * 16, "", "USER_NOT_FOUND"), (world.user("a"), "forged", "INVALID_CURSOR")):
        with pytest.raises(aio.AioRpcError) as failure:
            await likes(world, user, cursor=cursor)
        assert from_rpc(failure.value).reason == reason
