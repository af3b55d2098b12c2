"""SetAccountState: what moderation sets, told to everybody before it is answered, and what others see of it."""

import uuid
from typing import Any

import pytest
from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2
from aviary.user.v1.events_pb2 import AccountChanged

from runtime.context import Caller, acting
from tests.unit.svc_user.world import SERVICE, CallAt, World, failure, signed_in

SUSPENDED, ACTIVE = user_pb2.USER_STATUS_SUSPENDED, user_pb2.USER_STATUS_ACTIVE


async def set_state(world: World, user_id: bytes, caller: Caller = SERVICE, **state: Any) -> user_pb2.User:
    with acting(caller):
        request = user_pb2.SetAccountStateRequest(user_id=user_id, **state)
        answer: user_pb2.SetAccountStateResponse = await world.users.SetAccountState(request)
    return answer.user


async def seen(world: World, user_id: bytes) -> user_pb2.User:
    """The account as GetUsers gives it."""
    with acting(SERVICE):
        answer = await world.users.GetUsers(user_pb2.GetUsersRequest(user_ids=[user_id]))
    user: user_pb2.User = answer.users[0]
    return user


@pytest.fixture
async def alice(world: World) -> bytes:
    alice = uuid.UUID((await world.register("alice")).user.user_id).bytes
    with acting(signed_in(alice)):
        await world.users.UpdateAccount(user_pb2.UpdateAccountRequest(bio="hello"))
    world.bus.published.clear()
    world.bus.signals.clear()
    world.clock.ms += 1000
    return alice


async def test_what_is_given_is_set_and_what_is_absent_stays(world: World, alice: bytes) -> None:
    user = await set_state(world, alice, limited=True, verified=True)
    assert (user.limited, user.verified, user.status) == (True, True, ACTIVE)
    user = await set_state(world, alice, status=SUSPENDED)
    assert (user.limited, user.verified, user.status) == (True, True, SUSPENDED)
    user = await set_state(world, alice, limited=False, status=ACTIVE)
    assert (user.limited, user.verified, user.status) == (False, True, ACTIVE)
    assert user == await seen(world, alice)
    assert user.updated_at.ToMicroseconds() > world.clock.now_us()


async def test_a_suspended_account_says_nothing_of_itself_and_a_reinstated_one_does_again(
    world: World, alice: bytes
) -> None:
    suspended = await set_state(world, alice, status=SUSPENDED)
    assert (suspended.username, suspended.bio) == ("alice", "")
    assert (await set_state(world, alice, status=ACTIVE)).bio == "hello"


async def test_everybody_is_told_what_the_account_is_now(world: World, alice: bytes) -> None:
    user = await set_state(world, alice, status=SUSPENDED, role=mesh_pb2.ROLE_MODERATOR, limited=True)
    ((change,),) = [signal.changes for signal in world.bus.signals]
    assert (change.user_id, change.status, change.limited) == (alice, SUSPENDED, True)
    assert (change.role, change.version) == (mesh_pb2.ROLE_MODERATOR, user.updated_at.ToMicroseconds())
    (event,) = world.bus.published
    assert isinstance(event, AccountChanged)
    assert (event.user_id, event.version, event.status, event.limited) == (alice, change.version, SUSPENDED, True)


async def test_a_repetition_tells_again_and_announces_nothing(world: World, alice: bytes) -> None:
    """The first try may have died between storing and telling."""

    def die() -> None:
        raise RuntimeError("killed")

    faults = world.deps.faults
    world.change(faults=CallAt("user.change.after_batch", die))
    await failure(set_state(world, alice, status=SUSPENDED))
    world.change(faults=faults)
    assert not world.bus.signals
    await set_state(world, alice, status=SUSPENDED)
    assert [change.status for signal in world.bus.signals for change in signal.changes] == [SUSPENDED]
    assert not world.bus.published
    await world.outbox.relay_all()
    assert [event.status for event in world.bus.published] == [SUSPENDED]


async def test_the_owner_sees_the_role(world: World, alice: bytes) -> None:
    await set_state(world, alice, role=mesh_pb2.ROLE_MODERATOR)
    with acting(signed_in(alice)):
        assert (await world.users.GetAccount(user_pb2.GetAccountRequest())).user.role == "moderator"
    assert not (await seen(world, alice)).HasField("role")


async def test_an_unknown_account_is_named(world: World) -> None:
    assert (await failure(set_state(world, bytes(15) + b"1", limited=True))).reason == "USER_NOT_FOUND"


@pytest.mark.parametrize("status", [user_pb2.USER_STATUS_UNSPECIFIED, user_pb2.USER_STATUS_DELETED])
async def test_an_account_is_neither_deleted_nor_made_nothing_so(world: World, alice: bytes, status: int) -> None:
    assert (await failure(set_state(world, alice, status=status))).reason == "INVALID_REQUEST"


async def test_no_user_sets_states_not_even_an_admin(world: World, alice: bytes) -> None:
    for caller in (Caller(), Caller(user_id=alice, scopes=("account",), role=mesh_pb2.ROLE_ADMIN)):
        assert (await failure(set_state(world, alice, caller, verified=True))).reason == "NOT_ALLOWED"
