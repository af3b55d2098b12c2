"""GetRelationship: how the caller stands to an account, in all five respects."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, text


async def stands(world: World, viewer: bytes, other: bytes) -> str:
    with acting(caller(viewer)):
        answer = await world.views.GetRelationship(view_pb2.GetRelationshipRequest(user_id=text(other)))
    return " ".join(field.name for field, value in answer.relationship.ListFields() if value)


async def test_each_respect_is_told_apart(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    assert await stands(world, alice, bob) == ""
    world.follow(alice, bob)
    assert (await stands(world, alice, bob), await stands(world, bob, alice)) == ("following", "followed_by")
    world.mutes[(alice, bob)] = 0
    assert (await stands(world, alice, bob), await stands(world, bob, alice)) == ("following muting", "followed_by")
    world.follows.clear()
    world.blocks.add((alice, bob))
    assert (await stands(world, alice, bob), await stands(world, bob, alice)) == ("blocking muting", "blocked_by")


async def test_to_oneself_nobody_stands_in_any_way(world: World) -> None:
    alice = world.user("alice")
    assert await stands(world, alice, alice) == ""


async def test_an_unknown_account_is_not_found(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await stands(world, world.user("alice"), b"x" * 16)
    assert from_rpc(failure.value).reason == "USER_NOT_FOUND"
