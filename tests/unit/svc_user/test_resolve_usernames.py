"""ResolveUsernames says whose names these are."""

import uuid

import pytest
from aviary.user.v1.user_pb2 import ResolveUsernamesRequest

from runtime.context import NOBODY, acting
from svc_user.domain.names import Claim, username_key
from tests.unit.svc_user.world import SERVICE, World, failure, signed_in


async def test_each_known_name_is_answered_as_it_was_asked_for(world: World) -> None:
    alice = uuid.UUID((await world.register("Alice")).user.user_id).bytes
    bob = uuid.UUID((await world.register("bob")).user.user_id).bytes
    assert await resolve(world, ["alice", "ALICE", "bob", "carol", "bob"]) == {
        "alice": alice,
        "ALICE": alice,
        "bob": bob,
    }


async def test_a_claimed_name_without_an_account_is_nobodys(world: World) -> None:
    await world.store.claim(username_key("alice"), Claim(world.deps.ids.next()))
    assert await resolve(world, ["alice"]) == {}


@pytest.mark.parametrize("names", [["x" * 16], ["a"] * 101])
async def test_names_too_long_or_too_many_are_refused(world: World, names: list[str]) -> None:
    with acting(SERVICE):
        error = await failure(world.users.ResolveUsernames(ResolveUsernamesRequest(usernames=names)))
    assert error.reason == "INVALID_REQUEST"


async def test_nobody_but_services_may_ask(world: World) -> None:
    with acting(NOBODY):
        assert (await failure(world.users.ResolveUsernames(ResolveUsernamesRequest()))).reason == "NOT_ALLOWED"
    with acting(signed_in(b"u" * 16)):
        assert not (await world.users.ResolveUsernames(ResolveUsernamesRequest())).users


async def resolve(world: World, names: list[str]) -> dict[str, bytes]:
    with acting(SERVICE):
        answer = await world.users.ResolveUsernames(ResolveUsernamesRequest(usernames=names))
    return {user.username: user.user_id for user in answer.users}
