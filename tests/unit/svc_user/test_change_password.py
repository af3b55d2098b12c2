"""ChangePassword: the new password holds, the old one does not, the own login stays and all others end, however it is cut off."""

import asyncio
from typing import Any

import pytest
from aviary.user.v1.events_pb2 import AccountSignal
from aviary.user.v1.user_pb2 import ChangePasswordRequest, ImportUserRequest, RefreshTokenRequest

from runtime.context import ALL_SCOPES, APP_SCOPES, NOBODY, Caller, acting
from runtime.ids import ms_of
from svc_user.sessions import start_session
from svc_user.store_sessions_memory import MemorySessionStore
from tests.unit.svc_user.logins import listed, log_in, owner, states, user_id_of
from tests.unit.svc_user.world import PASSWORD, SERVICE, CallAt, World, failure

NEW = "another horse battery"


async def change(world: World, caller: Caller, current: str = PASSWORD, new: str = NEW, **fields: Any) -> None:
    """Change the caller's password."""
    with acting(caller):
        await world.users.ChangePassword(ChangePasswordRequest(current_password=current, new_password=new, **fields))


def die() -> None:
    raise RuntimeError("killed")


async def test_the_new_password_logs_in_and_the_old_one_does_not(world: World) -> None:
    alice = await world.register("alice")
    await change(world, owner(alice))
    assert await log_in(world, password=NEW)
    assert (await failure(log_in(world))).reason == "CREDENTIALS_WRONG"


async def test_all_other_logins_end_those_of_apps_too_and_the_own_stays(world: World) -> None:
    here, there, bob = await world.register("alice"), await log_in(world), await world.register("bob")
    app = await start_session(user_id_of(here), world.deps, password_us=0, client_id="wren", scopes=APP_SCOPES)
    await change(world, owner(here))
    error = await failure(world.users.RefreshToken(RefreshTokenRequest(refresh_token=there.refresh_token)))
    assert error.reason == "REFRESH_TOKEN_INVALID"
    assert await world.users.RefreshToken(RefreshTokenRequest(refresh_token=here.refresh_token))
    assert [state.session_id for state in await states(world, here, there, app, bob)] == [
        owner(here).session_id,
        owner(bob).session_id,
    ]
    assert len((await listed(world, owner(here))).sessions) == 1


async def test_a_change_by_a_clock_that_is_behind_is_later_than_the_account(world: World) -> None:
    """P29: both writes have the time of their clock, and of two the later one holds."""
    alice = await world.register("alice")
    world.clock.ms -= 60_000
    await change(world, owner(alice))
    password = await world.logins.password(user_id_of(alice))
    assert password is not None and password.changed_us > ms_of(user_id_of(alice).bytes) * 1000


async def test_everybody_is_told_which_logins_ended(world: World) -> None:
    here, there = await world.register("alice"), await log_in(world)
    await change(world, owner(here))
    signals = [signal for signal in world.bus.signals if isinstance(signal, AccountSignal)]
    assert [list(signal.ended_sessions) for signal in signals] == [[owner(there).session_id]]


async def test_of_a_second_change_from_another_login_only_that_one_stays(world: World) -> None:
    first = await world.register("alice")
    await change(world, owner(first))
    second = await log_in(world, password=NEW)
    await change(world, owner(second), NEW, "a third horse battery")
    assert [state.session_id for state in await states(world, first, second)] == [owner(second).session_id]


async def test_a_wrong_password_is_forbidden_and_changes_nothing(world: World) -> None:
    here, there = await world.register("alice"), await log_in(world)
    error = await failure(change(world, owner(here), PASSWORD + "!"))
    assert (error.status.name, error.reason) == ("PERMISSION_DENIED", "PASSWORD_WRONG")
    assert await log_in(world)
    assert len(await states(world, here, there)) == 2


async def test_a_common_password_is_refused(world: World) -> None:
    here = await world.register("alice")
    error = await failure(change(world, owner(here), new="Password123"))
    assert (error.reason, [problem.field for problem in error.fields]) == ("PASSWORD_TOO_COMMON", ["new_password"])
    assert await log_in(world)


@pytest.mark.parametrize(
    ("current", "new"), [("", NEW), (PASSWORD, "short"), (PASSWORD, "x" * 129), ("x" * 8_000_000, NEW)]
)
async def test_what_is_no_password_is_refused_by_name(world: World, current: str, new: str) -> None:
    here = await world.register("alice")
    error = await failure(change(world, owner(here), current, new))
    named = "new_password" if current == PASSWORD else "current_password"
    assert (error.reason, [problem.field for problem in error.fields]) == ("INVALID_REQUEST", [named])


async def test_who_may_not(world: World) -> None:
    alice = await world.register("alice")
    assert (await failure(change(world, owner(alice, *APP_SCOPES)))).reason == "INSUFFICIENT_SCOPE"
    for caller in (NOBODY, SERVICE):
        assert (await failure(change(world, caller))).reason == "TOKEN_MISSING"


async def test_an_imported_account_has_no_password_to_change(world: World) -> None:
    with acting(SERVICE):
        imported = await world.users.ImportUser(ImportUserRequest(username="alice", display_name="Alice"))
    caller = Caller(user_id=imported.user_id, scopes=ALL_SCOPES, service="seed")
    assert (await failure(change(world, caller))).reason == "PASSWORD_WRONG"


@pytest.mark.parametrize("point", ["user.password.after_batch", "user.end.after_store", "user.end.before_answer"])
async def test_a_change_that_was_cut_off_may_be_repeated_and_leaves_no_other_login(world: World, point: str) -> None:
    here, there = await world.register("alice"), await log_in(world)
    world.change(faults=CallAt(point, die))
    await failure(change(world, owner(here)))
    assert [state.session_id for state in await states(world, here, there)] == [owner(here).session_id]
    assert [session.current for session in (await listed(world, owner(here))).sessions] == [True]
    error = await failure(world.users.RefreshToken(RefreshTokenRequest(refresh_token=there.refresh_token)))
    assert error.reason == "REFRESH_TOKEN_INVALID"
    world.change(faults=CallAt("nowhere", die))
    await change(world, owner(here))
    assert await log_in(world, password=NEW)


async def test_only_the_login_that_changed_it_may_repeat_a_change(world: World) -> None:
    here = await world.register("alice")
    await change(world, owner(here))
    there = await log_in(world, password=NEW)
    assert (await failure(change(world, owner(there)))).reason == "PASSWORD_WRONG"
    assert (await failure(change(world, owner(here), new="a third horse battery"))).reason == "PASSWORD_WRONG"


async def test_a_login_with_the_old_password_that_is_on_its_way_ends_with_it(world: World) -> None:
    """It was judged before the change and stored after the end of the others, where nobody looks for it."""
    here = await world.register("alice")

    class Slow(MemorySessionStore):
        """The same store, on which the change of the password overtakes the new login."""

        def __init__(self) -> None:
            self.__dict__.update(vars(world.logins))

        async def insert_session(self, session: Any) -> None:
            world.change(logins=world.logins)
            await change(world, owner(here))
            await super().insert_session(session)

    world.change(logins=Slow())
    there = await log_in(world)
    assert [state.session_id for state in await states(world, here, there)] == [owner(here).session_id]
    error = await failure(world.users.RefreshToken(RefreshTokenRequest(refresh_token=there.refresh_token)))
    assert error.reason == "REFRESH_TOKEN_INVALID"


async def test_of_two_changes_at_once_one_password_holds_and_no_login_is_left_that_did_not_set_it(world: World) -> None:
    """Each ends the other's login, so perhaps none is left: whoever set the password has it."""
    here, there, third = await world.register("alice"), await log_in(world), await log_in(world)
    new = {"first horse battery": owner(here), "second horse battery": owner(there)}
    await asyncio.gather(
        *(change(world, caller, new=password) for password, caller in new.items()), return_exceptions=True
    )
    [held] = [password for password in new if await _logs_in(world, password)]
    left = [state.session_id for state in await states(world, here, there, third)]
    assert left in ([], [new[held].session_id])


async def _logs_in(world: World, password: str) -> bool:
    (user,) = (await world.store.list_users(b"", 1)).users
    known = await world.logins.password(user.user_id)
    with world.deps.passwords.place() as place:
        return await place.matches(known.hash if known else None, password)
