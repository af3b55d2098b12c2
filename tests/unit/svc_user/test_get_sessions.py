"""GetSessions tells who lets access tokens in what stands behind them now."""

from dataclasses import replace

from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2 import ChangePasswordRequest, GetSessionsRequest, SetAccountStateRequest

from runtime.context import NOBODY, acting
from tests.unit.svc_user.logins import log_in, owner, states
from tests.unit.svc_user.world import PASSWORD, SERVICE, CallAt, World, failure


async def test_a_login_is_told_with_its_account_and_unknown_ones_are_absent(world: World) -> None:
    alice, bob = await world.register("alice"), await world.register("bob")
    ids = [owner(alice).session_id, owner(bob).session_id, b"x" * 16]
    with acting(SERVICE):
        found = (await world.users.GetSessions(GetSessionsRequest(session_ids=[*ids, *ids]))).sessions
    told = {state.session_id: (state.user_id, state.status, state.role) for state in found}
    assert len(found) == 2
    assert told == {
        owner(who).session_id: (owner(who).user_id, user_pb2.USER_STATUS_ACTIVE, mesh_pb2.ROLE_UNSPECIFIED)
        for who in (alice, bob)
    }


async def test_status_and_role_are_those_of_now(world: World) -> None:
    alice = await world.register("alice")
    change = SetAccountStateRequest(
        user_id=owner(alice).user_id, status=user_pb2.USER_STATUS_SUSPENDED, role=mesh_pb2.ROLE_MODERATOR
    )
    with acting(SERVICE):
        await world.users.SetAccountState(change)
    (state,) = await states(world, alice)
    assert (state.status, state.role) == (user_pb2.USER_STATUS_SUSPENDED, mesh_pb2.ROLE_MODERATOR)


async def test_a_login_under_the_password_of_before_is_absent_even_when_nobody_ended_it(world: World) -> None:
    """What is left when a process dies between the new password and the end of the logins."""
    alice, other = await world.register("alice"), await log_in(world)

    def die() -> None:
        raise RuntimeError("killed")

    world.change(faults=CallAt("user.password.after_batch", die))
    with acting(owner(alice)):
        await failure(
            world.users.ChangePassword(ChangePasswordRequest(current_password=PASSWORD, new_password="another one 1"))
        )
    assert [state.session_id for state in await states(world, alice, other)] == [owner(alice).session_id]


async def test_only_services_ask(world: World) -> None:
    alice = owner(await world.register("alice"))
    for caller in (NOBODY, replace(alice, service="")):
        with acting(caller):
            error = await failure(world.users.GetSessions(GetSessionsRequest()))
        assert error.reason == "NOT_ALLOWED"


async def test_more_than_400_are_refused(world: World) -> None:
    with acting(SERVICE):
        assert (await world.users.GetSessions(GetSessionsRequest(session_ids=[b"x" * 16] * 400))).sessions == []
        error = await failure(world.users.GetSessions(GetSessionsRequest(session_ids=[b"x" * 16] * 401)))
    assert error.reason == "INVALID_REQUEST"
