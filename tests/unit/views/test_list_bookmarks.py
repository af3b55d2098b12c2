"""ListBookmarks: the caller's own and nobody else's."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, ids, text


async def bookmarks(world: World, viewer: bytes, **fields: object) -> view_pb2.ListBookmarksResponse:
    with acting(caller(viewer)):
        return await world.views.ListBookmarks(view_pb2.ListBookmarksRequest(**fields))


async def test_one_sees_ones_own_latest_first_and_what_is_gone_vanishes(world: World) -> None:
    """P18"""
    alice, bob = world.user("alice"), world.user("bob")
    tweets = [world.tweet(bob) for _ in range(4)]
    for tweet in (*tweets[2:], *tweets[:2]):
        world.mark("bookmark", alice, tweet)
    world.mark("bookmark", bob, tweets[3])
    world.mark("bookmark", alice, tweets[3], present=False)
    await world.warm()
    assert ids(await bookmarks(world, alice)) == [tweets[1], tweets[0], tweets[2]]
    await world.signal_delete(tweets[0])
    first = await bookmarks(world, alice, limit=1)
    assert ids(first) == [tweets[1]] and first.has_more
    rest = await bookmarks(world, alice, limit=1, cursor=first.next_cursor)
    assert ids(rest) == [tweets[2]] and not rest.has_more and not rest.HasField("next_cursor")


async def test_nobody_has_bookmarks_and_another_ones_are_refused(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    for viewer, user_id, reason in ((b"", None, "TOKEN_MISSING"), (alice, text(bob), "NOT_YOUR_USER_ID")):
        with pytest.raises(aio.AioRpcError) as failure:
            await bookmarks(world, viewer, user_id=user_id)
        assert from_rpc(failure.value).reason == reason


async def test_a_bad_cursor_is_refused(world: World) -> None:
    """P34"""
    with pytest.raises(aio.AioRpcError) as failure:
        await bookmarks(world, world.user("alice"), cursor="forged")
    assert from_rpc(failure.value).reason == "INVALID_CURSOR"
