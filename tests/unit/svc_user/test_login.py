"""Login takes a username or an e-mail address and tells nobody which of name and password is wrong."""

import asyncio
import threading
import uuid
from collections.abc import Collection
from typing import Any

import pytest
from argon2 import PasswordHasher
from aviary.user.v1.user_pb2 import (
    USER_STATUS_SUSPENDED,
    GetUsersRequest,
    ImportUserRequest,
    LoginRequest,
    RefreshTokenRequest,
)

from runtime.context import acting
from svc_user.domain.accounts import User
from svc_user.passwords import Passwords
from svc_user.store_memory import MemoryUserStore
from tests.unit.svc_user.logins import log_in, owner, set_status, states
from tests.unit.svc_user.world import PASSWORD, SERVICE, World, cheap_hasher, failure


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
    hasher = CountingHasher()
    world.change(passwords=Passwords(hasher, frozenset(), threads=1, waiting=1))
    await world.register("alice")
    await failure(world.users.Login(LoginRequest(login="alice", password="wrong")))
    await failure(world.users.Login(LoginRequest(login="nobody", password="wrong")))
    assert hasher.checks == 2


async def test_nobody_logs_in_to_an_imported_account(world: World) -> None:
    with acting(SERVICE):
        await world.users.ImportUser(ImportUserRequest(username="alice", display_name="Alice"))
    error = await failure(world.users.Login(LoginRequest(login="alice", password=PASSWORD)))
    assert error.reason == "CREDENTIALS_WRONG"


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


async def test_a_password_is_compared_as_it_was_given(world: World) -> None:
    await world.register("alice", password="pässwörd lang")
    decomposed = "pa\u0308sswo\u0308rd lang"
    error = await failure(world.users.Login(LoginRequest(login="alice", password=decomposed)))
    assert error.reason == "CREDENTIALS_WRONG"
    assert await world.users.Login(LoginRequest(login="alice", password="pässwörd lang"))


async def test_more_logins_than_fit_are_refused_with_a_time_to_wait(world: World) -> None:
    await world.register("alice")
    hasher = HeldHasher()
    world.change(passwords=Passwords(hasher, frozenset(), threads=1, waiting=1))
    calls = [asyncio.ensure_future(world.users.Login(LoginRequest(login="alice", password=PASSWORD))) for _ in range(3)]
    refused = await failure(calls[2])
    hasher.go.set()
    assert (refused.reason, refused.retry_after_s) == ("TOO_MANY_LOGINS", 1)
    assert [(await call).user.username for call in calls[:2]] == ["alice", "alice"]
    assert await world.users.Login(LoginRequest(login="alice", password=PASSWORD))


async def test_everything_else_goes_on_while_every_place_for_passwords_is_taken(world: World) -> None:
    """By work, not by time: while the threads stand still, whatever needs no password is answered."""
    alice = await world.register("alice")
    hasher = HeldHasher()
    world.change(passwords=Passwords(hasher, frozenset(), threads=2, waiting=2))
    held = [asyncio.ensure_future(log_in(world)) for _ in range(4)]
    await asyncio.to_thread(hasher.begun.wait, 60)
    refused = await asyncio.gather(*(failure(log_in(world)) for _ in range(5)))
    assert {error.reason for error in refused} == {"TOO_MANY_LOGINS"}
    with acting(SERVICE):
        users = await world.users.GetUsers(GetUsersRequest(user_ids=[owner(alice).user_id] * 400))
    assert [user.username for user in users.users] == ["alice"]
    assert len(await states(world, alice)) == 1
    assert await world.users.RefreshToken(RefreshTokenRequest(refresh_token=alice.refresh_token))
    assert not any(call.done() for call in held)
    hasher.go.set()
    assert [(await call).user.username for call in held] == ["alice"] * 4


class Arriving(MemoryUserStore):
    """The same store while the credentials of accounts are there and the accounts are not: a batch is atomic, not isolated."""

    def __init__(self, store: MemoryUserStore) -> None:
        self.__dict__.update(vars(store))

    async def get_users(self, user_ids: Collection[uuid.UUID]) -> list[User]:
        return []


class CountingHasher(PasswordHasher):
    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.checks = 0

    def verify(self, *args: Any) -> Any:
        self.checks += 1
        return super().verify(*args)


class HeldHasher(PasswordHasher):
    """Checks nothing before it may."""

    def __init__(self) -> None:
        cheap = cheap_hasher()
        super().__init__(cheap.time_cost, cheap.memory_cost, cheap.parallelism)
        self.begun, self.go = threading.Event(), threading.Event()

    def verify(self, *args: Any) -> Any:
        self.begun.set()
        self.go.wait(60)
        return super().verify(*args)
