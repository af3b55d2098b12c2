"""EndSession ends one of the caller's logins, and every edge is told before the answer."""

import uuid

import pytest
from aviary.user.v1.events_pb2 import AccountSignal
from aviary.user.v1.user_pb2 import EndSessionRequest, RefreshTokenRequest

from runtime.context import APP_SCOPES, Caller, acting
from tests.unit.svc_user.logins import listed, log_in, owner, states
from tests.unit.svc_user.world import CallAt, World, failure


async def end(world: World, caller: Caller, session_id: bytes | str) -> None:
    """End a login."""
    text = session_id if isinstance(session_id, str) else str(uuid.UUID(bytes=session_id))
    with acting(caller):
        await world.users.EndSession(EndSessionRequest(session_id=text))


async def test_another_login_of_ones_own_ends_and_the_own_goes_on(world: World) -> None:
    here, there = await world.register("alice"), await log_in(world)
    await end(world, owner(here), owner(there).session_id)
    error = await failure(world.users.RefreshToken(RefreshTokenRequest(refresh_token=there.refresh_token)))
    assert error.reason == "REFRESH_TOKEN_INVALID"
    assert await world.users.RefreshToken(RefreshTokenRequest(refresh_token=here.refresh_token))
    assert [session.current for session in (await listed(world, owner(here))).sessions] == [True]
    assert len(await states(world, here, there)) == 1


async def test_everybody_is_told_which_login_ended(world: World) -> None:
    here, there = await world.register("alice"), await log_in(world)
    await end(world, owner(here), owner(there).session_id)
    signals = [signal for signal in world.bus.signals if isinstance(signal, AccountSignal)]
    assert [list(signal.ended_sessions) for signal in signals] == [[owner(there).session_id]]


async def test_an_end_that_was_cut_off_before_it_was_told_shows_everybody_a_gap(world: World) -> None:
    """Whoever believes the login asks again: promise 10 does not hang on the call that ended it."""
    here, there = await world.register("alice"), await log_in(world)

    def die() -> None:
        raise RuntimeError("killed")

    world.change(faults=CallAt("user.end.after_store", die))
    await failure(end(world, owner(here), owner(there).session_id))
    await world.signals.goodbye()
    (signal,) = [signal for signal in world.bus.signals if isinstance(signal, AccountSignal)]
    assert (signal.sequence, list(signal.ended_sessions)) == (1, [])


async def test_a_login_of_somebody_else_or_of_nobody_is_not_found_and_does_not_end(world: World) -> None:
    alice, bob = await world.register("alice"), await world.register("bob")
    for session_id in (owner(alice).session_id, b"x" * 16):
        assert (await failure(end(world, owner(bob), session_id))).reason == "SESSION_NOT_FOUND"
    assert len(await states(world, alice, bob)) == 2


async def test_a_login_that_has_ended_is_not_found(world: World) -> None:
    here, there = await world.register("alice"), await log_in(world)
    await end(world, owner(here), owner(there).session_id)
    assert (await failure(end(world, owner(here), owner(there).session_id))).reason == "SESSION_NOT_FOUND"


@pytest.mark.parametrize("text", ["", "x", "0" * 32, "../../x"])
async def test_what_is_no_id_is_refused_by_name(world: World, text: str) -> None:
    alice = await world.register("alice")
    error = await failure(end(world, owner(alice), text))
    assert [problem.field for problem in error.fields] == ["session_id"]


async def test_an_app_may_not(world: World) -> None:
    alice = await world.register("alice")
    error = await failure(end(world, owner(alice, *APP_SCOPES), owner(alice).session_id))
    assert error.reason == "INSUFFICIENT_SCOPE"
    assert await states(world, alice)
