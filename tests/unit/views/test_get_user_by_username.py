"""GetUserByUsername: one account by its name."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, text


async def test_names_are_found_without_regard_to_case(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    with acting(caller(bob)):
        seen = (await world.views.GetUserByUsername(view_pb2.GetUserByUsernameRequest(username="ALICE"))).user
    assert seen.user_id == text(alice) and seen.relationship.followed_by and not seen.relationship.following
    seen = (await world.views.GetUserByUsername(view_pb2.GetUserByUsernameRequest(username="bob"))).user
    assert seen.user_id == text(bob) and not seen.HasField("relationship")


async def test_an_unknown_name_is_not_found(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.GetUserByUsername(view_pb2.GetUserByUsernameRequest(username="nobody"))
    assert from_rpc(failure.value).reason == "USER_NOT_FOUND"


async def test_an_impossible_name_names_the_field(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.GetUserByUsername(view_pb2.GetUserByUsernameRequest(username="no body"))
    assert from_rpc(failure.value).fields[0].field == "username"
