"""Login takes a username or an e-mail address and tells nobody which of name and password is wrong."""

import asyncio
import unicodedata
import uuid
from collections.abc import Collection
from typing import Any

import pytest
from aviary.user.v1.user_pb2 import (
    USER_STATUS_SUSPENDED,
    ChangePasswordRequest,
    GetUsersRequest,
    ImportUserRequest,
    LoginRequest,
    RefreshTokenRequest,
)

from runtime.config import Secret
from runtime.context import Caller, acting
from svc_user.domain.accounts import User
from svc_user.guess_counts import LocalCounts
from svc_user.guesses import Guesses
from svc_user.store_memory import MemoryUserStore
from tests.unit.svc_user.hashing import CheapHashing, HeldHashing, passwords_by
from tests.unit.svc_user.logins import log_in, owner, set_status, states
from tests.unit.svc_user.world import PASSWORD, SERVICE, World, failure


@pytest.mark.parametrize("login", ["Alice", "aLICE", "alice@example.org", "Alice@EXAMPLE.org"])
async def test_username_and_email_address_log_in_whatever_their_case(world: World, login: str) -> None:
    registered = await world.register("Alice", email="alice@example.org")
    answer = await world.users.Login(LoginRequest(login=login, password=PASSWORD))
    assert answer.user == registered.user
    assert (answer.token_type, answer.expires_in) == ("Bearer", 900)
    assert answer.refresh_token != registered.refresh_token


async def test_the_refresh_token_of_a_login_works(world: World) -> None:
    await world.register("alice")
    answer = await world.users.Login(LoginRequest(login="alice", password=PASSWORD))
    assert await world.users.RefreshToken(RefreshTokenRequest(refresh_token=answer.refresh_token))


async def test_wrong_password_and_unknown_name_are_answered_alike(world: World) -> None:
    await world.register("alice")
    wrong = await failure(world.users.Login(LoginRequest(login="alice", password=PASSWORD + "!")))
    unknown = await failure(world.users.Login(LoginRequest(login="bobby", password=PASSWORD)))
    address = await failure(world.users.Login(LoginRequest(login="bobby@example.org", password=PASSWORD)))
    assert wrong.reason == "CREDENTIALS_WRONG"
    assert {(e.status, e.reason, e.detail) for e in (wrong, unknown, address)} == {
        (wrong.status, wrong.reason, wrong.detail)
    }


async def test_an_unknown_name_costs_the_check_of_a_password_too(world: World) -> None:
    hashing = CheapHashing()
    world.change(passwords=passwords_by(hashing, waiting=1))
    await world.register("alice")
    await failure(world.users.Login(LoginRequest(login="alice", password="wrong")))
    await failure(world.users.Login(LoginRequest(login="nobody", password="wrong")))
    assert hashing.checks == 2


async def test_nobody_logs_in_to_an_imported_account(world: World) -> None:
    with acting(SERVICE):
        await world.users.ImportUser(ImportUserRequest(username="alice", display_name="Alice"))
    error = await failure(world.users.Login(LoginRequest(login="alice", password=PASSWORD)))
    assert error.reason == "CREDENTIALS_WRONG"


class Asked:
    """A port that notes which of its methods are called."""

    def __init__(self, port: Any, notes: list[str]) -> None:
        self._port = port
        self._notes = notes

    def __getattr__(self, name: str) -> Any:
        self._notes.append(name)
        return getattr(self._port, name)


async def test_a_name_that_nobody_has_costs_every_step_that_a_wrong_password_does(world: World) -> None:
    """How long it takes must not tell whether there is an account."""
    await world.register("alice")
    notes: list[str] = []
    store, logins = Asked(world.store, notes), Asked(world.logins, notes)
    hashing: Any = Asked(CheapHashing(), notes)
    guesses = Guesses(Asked(LocalCounts(), notes), logins, Secret(b"g" * 32), world.clock)
    world.change(store=store, logins=logins, guesses=guesses, passwords=passwords_by(hashing, waiting=1))
    steps = []
    for name in ("alice", "nobody", "alice@example.org", "nobody@example.org"):
        notes.clear()
        assert (await failure(log_in(world, name, password="wrong", client_address="192.0.2.1"))).reason
        steps.append(sorted(notes))
    assert steps == [steps[0]] * 4 and "matches" in steps[0]


async def test_a_suspended_account_is_told_so_to_who_knows_its_password_alone(world: World) -> None:
    alice = await world.register("alice")
    await set_status(world, alice, USER_STATUS_SUSPENDED)
    error = await failure(log_in(world))
    assert (error.status.name, error.reason) == ("PERMISSION_DENIED", "ACCOUNT_SUSPENDED")
    assert (await failure(log_in(world, password="wrong"))).reason == "CREDENTIALS_WRONG"


async def test_an_account_whose_batch_is_still_arriving_cannot_log_in_yet(world: World) -> None:
    await world.register("alice")
    world.change(store=Arriving(world.store))
    error = await failure(world.users.Login(LoginRequest(login="alice", password=PASSWORD)))
    assert error.reason == "CREDENTIALS_WRONG"


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("pässwörd lang", "pa\u0308sswo\u0308rd lang"),
        ("한국어비밀번호", unicodedata.normalize("NFD", "한국어비밀번호")),
        ("a password of mine", "a\u00a0password\u3000of mine"),
        ("\u212bngstr\u00f6m 10", "A\u030angstro\u0308m 10"),
    ],
)
async def test_a_password_is_the_same_however_a_keyboard_sends_it(world: World, here: str, there: str) -> None:
    for name, first, later in (("alice", here, there), ("bobby", there, here)):
        await world.register(name, password=first + " 1")
        assert await log_in(world, name, password=later + " 1")


@pytest.mark.parametrize(
    "another", [PASSWORD.upper(), PASSWORD + " ", " " + PASSWORD, PASSWORD + "\x00", PASSWORD.replace("o", "\uff4f")]
)
async def test_nothing_else_of_a_password_is_taken_for_the_same(world: World, another: str) -> None:
    await world.register("alice")
    assert (await failure(log_in(world, password=another))).reason == "CREDENTIALS_WRONG"


async def test_more_logins_than_fit_are_refused_with_a_time_to_wait(world: World) -> None:
    await world.register("alice")
    hashing = HeldHashing()
    world.change(passwords=passwords_by(hashing, waiting=1))
    calls = [asyncio.ensure_future(world.users.Login(LoginRequest(login="alice", password=PASSWORD))) for _ in range(3)]
    refused = await failure(calls[2])
    hashing.go.set()
    assert (refused.reason, refused.retry_after_s) == ("TOO_MANY_LOGINS", 1)
    assert [(await call).user.username for call in calls[:2]] == ["alice", "alice"]
    assert await world.users.Login(LoginRequest(login="alice", password=PASSWORD))


async def test_who_is_refused_for_lack_of_room_cost_no_question(world: World) -> None:
    """Or a flood of logins would load the database the more the more of them are refused."""
    alice = owner(await world.register("alice"))
    hashing = HeldHashing()
    notes: list[str] = []
    world.change(passwords=passwords_by(hashing, waiting=0))
    held = asyncio.ensure_future(log_in(world))
    await hashing.begun.wait()
    asked: dict[str, Any] = {name: Asked(getattr(world.deps, name), notes) for name in ("store", "logins", "outbox")}
    guesses = Guesses(Asked(LocalCounts(), notes), asked["logins"], Secret(b"g" * 32), world.clock)
    world.change(**asked, guesses=guesses)
    refusals = [log_in(world), log_in(world, "nobody"), world.register("bobby"), _change(world, alice)]
    assert {(await failure(refused)).reason for refused in refusals} == {"TOO_MANY_LOGINS"}
    assert notes == []
    hashing.go.set()
    assert await held


async def test_everything_else_goes_on_while_every_place_for_passwords_is_taken(world: World) -> None:
    """By work, not by time: while hashing stands still, whatever needs no password is answered."""
    alice = await world.register("alice")
    hashing = HeldHashing(at_once=2)
    world.change(passwords=passwords_by(hashing, waiting=2))
    held = [asyncio.ensure_future(log_in(world)) for _ in range(4)]
    await hashing.begun.wait()
    refused = await asyncio.gather(*(failure(log_in(world)) for _ in range(5)))
    assert {error.reason for error in refused} == {"TOO_MANY_LOGINS"}
    with acting(SERVICE):
        users = await world.users.GetUsers(GetUsersRequest(user_ids=[owner(alice).user_id] * 400))
    assert [user.username for user in users.users] == ["alice"]
    assert len(await states(world, alice)) == 1
    assert await world.users.RefreshToken(RefreshTokenRequest(refresh_token=alice.refresh_token))
    assert not any(call.done() for call in held)
    hashing.go.set()
    assert [(await call).user.username for call in held] == ["alice"] * 4


async def _change(world: World, caller: Caller) -> None:
    with acting(caller):
        await world.users.ChangePassword(ChangePasswordRequest(current_password=PASSWORD, new_password=PASSWORD + "!"))


class Arriving(MemoryUserStore):
    """The same store while the credentials of accounts are there and the accounts are not: a batch is atomic, not isolated."""

    def __init__(self, store: MemoryUserStore) -> None:
        self.__dict__.update(vars(store))

    async def get_users(self, user_ids: Collection[uuid.UUID]) -> list[User]:
        return []
