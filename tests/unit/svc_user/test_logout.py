"""Logout ends one login of the caller's own: its refresh tokens are refused from then on, everything else goes on."""

import uuid

import grpc
import pytest
from aviary.user.v1.user_pb2 import LoginRequest, LogoutRequest, RefreshTokenRequest

from runtime.context import ALL_SCOPES, APP_SCOPES, NOBODY, Caller, acting
from tests.unit.svc_user.logins import owner
from tests.unit.svc_user.world import PASSWORD, SERVICE, World, failure


async def test_the_login_of_the_access_token_ends(world: World) -> None:
    alice = await world.register("alice")
    assert await logout(world, owner(alice)) == b""
    assert await refused(world, alice.refresh_token)


async def test_the_login_of_a_refresh_token_ends_instead_of_that_of_the_access_token(world: World) -> None:
    here = await world.register("alice")
    there = await world.users.Login(LoginRequest(login="alice", password=PASSWORD))
    await logout(world, owner(here), there.refresh_token)
    assert await refused(world, there.refresh_token)
    assert not await refused(world, here.refresh_token)


async def test_a_refresh_token_that_was_used_names_its_login_too(world: World) -> None:
    alice = await world.register("alice")
    successor = await world.users.RefreshToken(RefreshTokenRequest(refresh_token=alice.refresh_token))
    await logout(world, owner(alice), alice.refresh_token)
    assert await refused(world, successor.refresh_token)


async def test_logging_out_again_changes_nothing(world: World) -> None:
    here = await world.register("alice")
    there = await world.users.Login(LoginRequest(login="alice", password=PASSWORD))
    for token in (None, here.refresh_token, None):
        await logout(world, owner(here), token)
    assert not await refused(world, there.refresh_token)


async def test_a_stranger_ends_nothing(world: World) -> None:
    alice, bob = await world.register("alice"), await world.register("bob")
    error = await failure(logout(world, owner(bob), alice.refresh_token))
    assert (error.status, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert [problem.field for problem in error.fields] == ["refresh_token"]
    assert not await refused(world, alice.refresh_token)
    assert not await refused(world, bob.refresh_token)


@pytest.mark.parametrize("token", ["", "x", "ünlesbar", "A" * 70, "A" * 513])
async def test_what_is_no_token_is_refused_by_name_and_ends_nothing(world: World, token: str) -> None:
    alice = await world.register("alice")
    error = await failure(logout(world, owner(alice), token))
    assert [problem.field for problem in error.fields] == ["refresh_token"]
    assert not await refused(world, alice.refresh_token)


async def test_who_acts_for_a_user_without_a_login_must_say_which_one_ends(world: World) -> None:
    alice = await world.register("alice")
    for_alice = Caller(user_id=uuid.UUID(alice.user.user_id).bytes, scopes=ALL_SCOPES, service="seed")
    error = await failure(logout(world, for_alice))
    assert [problem.field for problem in error.fields] == ["refresh_token"]
    await logout(world, for_alice, alice.refresh_token)
    assert await refused(world, alice.refresh_token)


async def test_nobody_and_a_service_for_itself_have_no_login(world: World) -> None:
    alice = await world.register("alice")
    for caller in (NOBODY, SERVICE):
        assert (await failure(logout(world, caller, alice.refresh_token))).reason == "TOKEN_MISSING"
    assert not await refused(world, alice.refresh_token)


async def test_an_app_may_not_end_a_login(world: World) -> None:
    alice = await world.register("alice")
    error = await failure(logout(world, owner(alice, *APP_SCOPES)))
    assert error.reason == "INSUFFICIENT_SCOPE"
    assert not await refused(world, alice.refresh_token)


async def logout(world: World, caller: Caller, refresh_token: str | None = None) -> bytes:
    """What the answer holds."""
    with acting(caller):
        answer = await world.users.Logout(LogoutRequest(refresh_token=refresh_token))
    return bytes(answer.SerializeToString())


async def refused(world: World, refresh_token: str) -> bool:
    """Whether the login has ended; one that has not goes on with its next token."""
    session = await world.logins.get_session(world.deps.tokens.open_refresh(refresh_token).session_id)
    if session is not None:
        return False
    error = await failure(world.users.RefreshToken(RefreshTokenRequest(refresh_token=refresh_token)))
    return (error.status, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "REFRESH_TOKEN_INVALID")
