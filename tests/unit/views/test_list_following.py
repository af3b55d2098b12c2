"""ListFollowing: whom an account follows, page by page."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.errors import from_rpc
from tests.unit.views.world import World, text


async def test_it_shows_the_other_end_and_skips_lost_accounts(world: World) -> None:
    """P25"""
    alice, bob, gone = world.user("alice"), world.user("bob"), world.user("gone")
    world.follow(alice, bob)
    world.follow(alice, gone)
    del world.users[gone]
    answer = await world.views.ListFollowing(view_pb2.ListFollowingRequest(user_id=text(alice)))
    assert [f.user_id for f in answer.following] == [text(bob)] and not answer.has_more


async def test_pages_join_through_the_cursor(world: World) -> None:
    alice = world.user("alice")
    others = [world.user(f"o{n}") for n in range(3)]
    for other in others:
        world.follow(alice, other)
    first = await world.views.ListFollowing(view_pb2.ListFollowingRequest(user_id=text(alice), limit=2))
    request = view_pb2.ListFollowingRequest(user_id=text(alice), limit=2, cursor=first.next_cursor)
    rest = await world.views.ListFollowing(request)
    assert first.has_more and not rest.has_more
    assert [f.user_id for f in [*first.following, *rest.following]] == [text(o) for o in others]


async def test_an_unknown_account_is_not_found(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.ListFollowing(view_pb2.ListFollowingRequest(user_id=text(b"x" * 16)))
    assert from_rpc(failure.value).reason == "USER_NOT_FOUND"


async def test_a_bad_cursor_is_refused(world: World) -> None:
    """P34"""
    request = view_pb2.ListFollowingRequest(user_id=text(world.user("alice")), cursor="forged")
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.ListFollowing(request)
    assert from_rpc(failure.value).reason == "INVALID_CURSOR"
