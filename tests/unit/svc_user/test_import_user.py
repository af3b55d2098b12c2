"""ImportUser makes an account once, however often it is called and wherever it died before."""

import uuid

import pytest
from aviary.user.v1.user_pb2 import GetUsersRequest, ImportUserRequest, ImportUserResponse

from runtime.context import NOBODY, acting
from svc_user.domain.accounts import User
from svc_user.domain.names import Claim, username_key
from svc_user.events import user_registered
from tests.unit.svc_user.world import SERVICE, TEN_MINUTES_MS, World, failure


async def test_an_imported_account_is_made_and_announced(world: World) -> None:
    made = await import_user(world, "SenatorX", bio="Of Y", verified=True)
    with acting(SERVICE):
        (user,) = (await world.users.GetUsers(GetUsersRequest(user_ids=[made.user_id]))).users
    assert made.created
    assert (user.username, user.display_name, user.bio, user.verified) == ("SenatorX", "Imported", "Of Y", True)
    assert world.bus.published == [user_registered(User(uuid.UUID(bytes=made.user_id), "", ""))]


async def test_importing_again_finds_the_account_and_announces_nothing(world: World) -> None:
    made = await import_user(world, "SenatorX")
    world.clock.ms += 1000 * TEN_MINUTES_MS
    again = await import_user(world, "senatorx")
    assert (again.user_id, again.created) == (made.user_id, False)
    assert len(world.bus.published) == 1


async def test_importing_a_registered_name_finds_the_account(world: World) -> None:
    registered = await world.register("alice")
    found = await import_user(world, "alice")
    assert (str(uuid.UUID(bytes=found.user_id)), found.created) == (registered.user.user_id, False)


async def test_an_import_that_died_is_continued_with_its_own_id_at_once(world: World) -> None:
    dead = world.deps.ids.next()
    await world.store.claim(username_key("alice"), Claim(dead, imported=True))
    world.clock.ms += 60_000
    made = await import_user(world, "alice")
    assert (made.user_id, made.created) == (dead.bytes, True)


async def test_an_import_that_died_long_ago_is_made_anew(world: World) -> None:
    dead = world.deps.ids.next()
    await world.store.claim(username_key("alice"), Claim(dead, imported=True))
    world.clock.ms += TEN_MINUTES_MS
    made = await import_user(world, "alice")
    assert made.user_id != dead.bytes
    assert made.created


async def test_an_import_is_not_continued_shortly_before_its_claim_may_be_taken_over(world: World) -> None:
    await world.store.claim(username_key("alice"), Claim(world.deps.ids.next(), imported=True))
    world.clock.ms += TEN_MINUTES_MS - 30_000
    error = await failure(import_user(world, "alice"))
    assert (error.reason, error.retry_after_s) == ("DEPENDENCY_UNAVAILABLE", 30)


async def test_a_name_that_somebody_registers_with_right_now_is_not_imported(world: World) -> None:
    await world.store.claim(username_key("alice"), Claim(world.deps.ids.next()))
    assert (await failure(import_user(world, "alice"))).reason == "USERNAME_TAKEN"


async def test_only_services_may_import(world: World) -> None:
    with acting(NOBODY):
        call = world.users.ImportUser(ImportUserRequest(username="alice", display_name="Alice"))
        assert (await failure(call)).reason == "NOT_ALLOWED"


@pytest.mark.parametrize("username", ["", "a b", "x" * 16])
async def test_a_name_that_is_none_is_refused(world: World, username: str) -> None:
    assert [f.field for f in (await failure(import_user(world, username))).fields] == ["username"]


async def import_user(world: World, username: str, bio: str = "", verified: bool = False) -> ImportUserResponse:
    request = ImportUserRequest(username=username, display_name="Imported", bio=bio, verified=verified)
    with acting(SERVICE):
        answer: ImportUserResponse = await world.users.ImportUser(request)
    return answer
