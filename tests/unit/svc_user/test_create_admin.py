"""CreateAdmin makes an account with a role whole, gives the role to the account it made before, and to nobody else's."""

import uuid
from typing import Any

import pytest
from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2

from runtime.context import acting
from tests.unit.svc_user.world import PASSWORD, SERVICE, TEN_MINUTES_MS, CallAt, World, failure

ADMIN, MODERATOR = mesh_pb2.ROLE_ADMIN, mesh_pb2.ROLE_MODERATOR


async def create(world: World, **fields: Any) -> user_pb2.CreateAdminResponse:
    given = {"username": "admin", "email": "root@example.org", "password": PASSWORD, "role": ADMIN, **fields}
    with acting(SERVICE):
        answer: user_pb2.CreateAdminResponse = await world.users.CreateAdmin(user_pb2.CreateAdminRequest(**given))
    return answer


async def role_of(world: World, user_id: bytes) -> int:
    (user,) = await world.store.get_users([uuid.UUID(bytes=user_id)])
    return user.role


async def test_a_new_admin_has_the_role_and_can_log_in_although_the_name_is_reserved(world: World) -> None:
    made = await create(world)
    assert made.created
    login = await world.users.Login(user_pb2.LoginRequest(login="admin", password=PASSWORD))
    assert (login.user.user_id, login.user.role) == (str(uuid.UUID(bytes=made.user_id)), "admin")


async def test_once_more_changes_nothing(world: World) -> None:
    first, second = await create(world), await create(world)
    assert (second.user_id, second.created) == (first.user_id, False)
    assert len((await world.store.list_users(b"", 10)).users) == 1


async def test_the_account_that_is_there_already_gets_the_role_and_everybody_is_told(world: World) -> None:
    alice = await world.register("alice", email="alice@example.org")
    given = await create(world, username="ALICE", email="Alice@example.org", role=MODERATOR)
    assert (str(uuid.UUID(bytes=given.user_id)), given.created) == (alice.user.user_id, False)
    assert await role_of(world, given.user_id) == MODERATOR
    assert [change.role for signal in world.bus.signals for change in signal.changes] == [MODERATOR]


@pytest.mark.parametrize("other", [{"email": "eve@example.org"}, {"password": "another long one"}])
async def test_nobody_elses_account_gets_a_role(world: World, other: dict[str, str]) -> None:
    alice = await world.register("alice", email="alice@example.org")
    error = await failure(create(world, **{"username": "alice", "email": "alice@example.org", **other}))
    assert error.reason == "USERNAME_TAKEN"
    assert await role_of(world, uuid.UUID(alice.user.user_id).bytes) == mesh_pb2.ROLE_UNSPECIFIED


async def test_it_fails_as_registering_does(world: World) -> None:
    await world.register("alice", email="alice@example.org")
    assert (await failure(create(world, email="alice@example.org"))).reason == "EMAIL_TAKEN"
    assert (await failure(create(world, password="password1"))).reason == "PASSWORD_TOO_COMMON"
    assert (await failure(create(world, role=0))).reason == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("point", "made"), [("user.register.after_claims", False), ("user.register.after_batch", True)]
)
async def test_wherever_it_dies_there_is_an_admin_or_nobody(world: World, point: str, made: bool) -> None:
    def die() -> None:
        raise RuntimeError("killed")

    faults = world.deps.faults
    world.change(faults=CallAt(point, die))
    await failure(create(world))
    world.change(faults=faults)
    assert [user.role for user in (await world.store.list_users(b"", 10)).users] == ([ADMIN] if made else [])
    world.clock.ms += 0 if made else TEN_MINUTES_MS
    assert (await create(world)).created != made
    assert [user.role for user in (await world.store.list_users(b"", 10)).users] == [ADMIN]


async def test_nobody_but_a_service_makes_admins(world: World) -> None:
    request = user_pb2.CreateAdminRequest(username="admin", email="root@example.org", password=PASSWORD, role=ADMIN)
    assert (await failure(world.users.CreateAdmin(request))).reason == "NOT_ALLOWED"
