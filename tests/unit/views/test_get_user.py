"""GetUser, GetUserByUsername and GetMe: accounts as nobody, stranger and owner see them."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, text


async def test_a_signed_in_viewer_sees_the_relationship(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    with acting(caller(alice)):
        seen = (await world.views.GetUser(view_pb2.GetUserRequest(user_id=text(bob)))).user
    assert seen.username == "bob" and seen.relationship.following and not seen.relationship.followed_by
    with acting(caller(bob)):
        seen = (await world.views.GetUserByUsername(view_pb2.GetUserByUsernameRequest(username="ALICE"))).user
    assert seen.user_id == text(alice) and seen.relationship.followed_by and not seen.relationship.following


async def test_nobody_sees_no_relationship_and_nobody_sees_what_is_the_owners(world: World) -> None:
    bob = world.user("bob")
    world.users[bob].email = "leaked@example.org"
    seen = (await world.views.GetUser(view_pb2.GetUserRequest(user_id=text(bob)))).user
    assert not seen.HasField("relationship") and not seen.HasField("email") and not seen.HasField("role")
    assert world.calls["GetRelationships"] == 0


async def test_a_viewers_relationship_does_not_stay_in_the_cache(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    with acting(caller(alice)):
        await world.views.GetUser(view_pb2.GetUserRequest(user_id=text(bob)))
    seen = (await world.views.GetUser(view_pb2.GetUserRequest(user_id=text(bob)))).user
    assert not seen.HasField("relationship")


@pytest.mark.parametrize("viewer", [False, True])
async def test_unknown_accounts_are_not_found(world: World, viewer: bool) -> None:
    me = world.user("me") if viewer else b""
    for call in (
        lambda: world.views.GetUser(view_pb2.GetUserRequest(user_id=text(b"x" * 16))),
        lambda: world.views.GetUserByUsername(view_pb2.GetUserByUsernameRequest(username="nobody")),
    ):
        with acting(caller(me)), pytest.raises(aio.AioRpcError) as failure:
            await call()
        assert from_rpc(failure.value).reason == "USER_NOT_FOUND"


async def test_one_sees_ones_own_account_whole(world: World) -> None:
    alice = world.user("alice")
    with acting(caller(alice)):
        me = (await world.views.GetMe(view_pb2.GetMeRequest())).user
    assert (me.username, me.email, me.role) == ("alice", "me@example.org", "user")


async def test_nobody_has_no_account(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.GetMe(view_pb2.GetMeRequest())
    assert from_rpc(failure.value).reason == "TOKEN_MISSING"
