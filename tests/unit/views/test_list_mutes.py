"""ListMutes: the caller's own list, page by page."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller


async def listed(world: World, viewer: bytes, **fields: object) -> view_pb2.ListMutesResponse:
    with acting(caller(viewer)):
        return await world.views.ListMutes(view_pb2.ListMutesRequest(**fields))


async def test_pages_hold_whom_the_caller_mutes_and_nobody_else_s(world: World) -> None:
    """P25, P31"""
    alice, bob = world.user("alice"), world.user("bob")
    others = [world.user(f"o{n}") for n in range(3)]
    for other in others:
        world.mutes[(alice, other)] = 0
    first = await listed(world, alice, limit=2)
    rest = await listed(world, alice, limit=2, cursor=first.next_cursor)
    assert first.has_more and not rest.has_more and not rest.HasField("next_cursor")
    assert [u.username for u in [*first.users, *rest.users]] == ["o0", "o1", "o2"]
    assert not (await listed(world, bob)).users


async def test_who_is_suspended_is_left_out(world: World) -> None:
    """P20"""
    alice, bad = world.user("alice"), world.user("bad")
    world.mutes[(alice, bad)] = 0
    world.users[bad].status = 2
    assert not (await listed(world, alice)).users


async def test_nobody_has_none(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.ListMutes(view_pb2.ListMutesRequest())
    assert from_rpc(failure.value).reason == "TOKEN_MISSING"


async def test_a_bad_cursor_is_refused(world: World) -> None:
    """P34"""
    with pytest.raises(aio.AioRpcError) as failure:
        await listed(world, world.user("alice"), cursor="forged")
    assert from_rpc(failure.value).reason == "INVALID_CURSOR"
