"""ListFollowers and ListFollowing: accounts at the ends of follows, page by page."""

from collections.abc import Awaitable
from typing import Any

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.errors import from_rpc
from tests.unit.views.world import World, text


async def test_pages_of_followers_join_through_the_cursor(world: World) -> None:
    bob = world.user("bob")
    readers = [world.user(f"r{n}") for n in range(5)]
    for reader in readers:
        world.follow(reader, bob)
    first = await world.views.ListFollowers(view_pb2.ListFollowersRequest(user_id=text(bob), limit=3))
    assert first.has_more and first.next_cursor
    rest = await world.views.ListFollowers(
        view_pb2.ListFollowersRequest(user_id=text(bob), limit=3, cursor=first.next_cursor)
    )
    assert not rest.has_more and not rest.HasField("next_cursor")
    assert [f.username for f in [*first.followers, *rest.followers]] == [f"r{n}" for n in range(5)]


async def test_following_shows_the_other_end_and_skips_lost_accounts(world: World) -> None:
    """P25"""
    alice, bob, gone = world.user("alice"), world.user("bob"), world.user("gone")
    world.follow(alice, bob)
    world.follow(alice, gone)
    del world.users[gone]
    answer = await world.views.ListFollowing(view_pb2.ListFollowingRequest(user_id=text(alice)))
    assert [f.user_id for f in answer.following] == [text(bob)] and not answer.has_more


async def test_unknown_accounts_and_bad_cursors_are_refused(world: World) -> None:
    alice = world.user("alice")
    views: Any = world.views

    async def reason(call: Awaitable[Any]) -> str:
        with pytest.raises(aio.AioRpcError) as failure:
            await call
        return from_rpc(failure.value).reason

    nobody, bad = {"user_id": text(b"x" * 16)}, {"user_id": text(alice), "cursor": "forged"}
    assert await reason(views.ListFollowers(view_pb2.ListFollowersRequest(**nobody))) == "USER_NOT_FOUND"
    assert await reason(views.ListFollowing(view_pb2.ListFollowingRequest(**nobody))) == "USER_NOT_FOUND"
    assert await reason(views.ListFollowers(view_pb2.ListFollowersRequest(**bad))) == "INVALID_CURSOR"
    assert await reason(views.ListFollowing(view_pb2.ListFollowingRequest(**bad))) == "INVALID_CURSOR"
