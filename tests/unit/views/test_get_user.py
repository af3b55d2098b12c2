"""GetUser: one account as nobody, stranger and owner see it."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, text


async def get(world: World, user_id: bytes, viewer: bytes = b"") -> view_pb2.GetUserResponse:
    with acting(caller(viewer)):
        return await world.views.GetUser(view_pb2.GetUserRequest(user_id=text(user_id)))


async def test_a_signed_in_viewer_sees_the_relationship(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    seen = (await get(world, bob, alice)).user
    assert seen.username == "bob" and seen.relationship.following and not seen.relationship.followed_by
    seen = (await get(world, alice, bob)).user
    assert seen.relationship.followed_by and not seen.relationship.following


async def test_nobody_sees_no_relationship_and_nobody_sees_what_is_the_owners(world: World) -> None:
    bob = world.user("bob")
    world.users[bob].email = "leaked@example.org"
    seen = (await get(world, bob)).user
    assert not seen.HasField("relationship") and not seen.HasField("email") and not seen.HasField("role")
    assert world.calls["GetRelationships"] == 0


async def test_a_viewers_relationship_does_not_stay_in_the_cache(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    await get(world, bob, alice)
    assert not (await get(world, bob)).user.HasField("relationship")


@pytest.mark.parametrize("signed_in", [False, True])
async def test_an_unknown_account_is_not_found(world: World, signed_in: bool) -> None:
    viewer = world.user("me") if signed_in else b""
    with pytest.raises(aio.AioRpcError) as failure:
        await get(world, b"x" * 16, viewer)
    assert from_rpc(failure.value).reason == "USER_NOT_FOUND"
