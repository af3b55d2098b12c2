"""SetAccountState: what moderation sets, told to everybody before it is answered, and what others see of it."""

import uuid
from collections.abc import Awaitable, Callable
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


class Meanwhile:
    """A store before whose first change of an account something else happens."""

    def __init__(self, store: Any, happens: Callable[[], Awaitable[Any]]) -> None:
        self._store = store
        self._happens: Callable[[], Awaitable[Any]] | None = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def update_account(self, *accounts: Any, announce: AccountChanged) -> None:
        happens, self._happens = self._happens, None
        if happens:
            await happens()
        await self._store.update_account(*accounts, announce=announce)


@pytest.mark.parametrize("ahead_ms", [-5, 5])
async def test_who_takes_the_latest_of_each_state_is_right_whatever_raced(
    world: World, alice: bytes, ahead_ms: int
) -> None:
    """The profile was read before the suspension and is stored after it, at a greater version or a lesser one."""

    async def suspend() -> None:
        world.clock.ms += ahead_ms
        await set_state(world, alice, status=SUSPENDED, limited=True, role=mesh_pb2.ROLE_MODERATOR)
        world.clock.ms -= ahead_ms

    world.change(store=Meanwhile(world.store, suspend))
    with acting(signed_in(alice)):
        await world.users.UpdateAccount(user_pb2.UpdateAccountRequest(bio="later"))
    await world.outbox.relay_all()
    events = [event for event in world.bus.published if isinstance(event, AccountChanged)]
    changes = [change for signal in world.bus.signals for change in signal.changes]
    assert len(events) == len(changes) == 2
    for told in (events, changes):
        assert max(told, key=lambda one: one.status_version).status == SUSPENDED
        assert max(told, key=lambda one: one.limited_version).limited
    assert max(changes, key=lambda one: one.role_version).role == mesh_pb2.ROLE_MODERATOR


async def test_an_event_says_the_states_as_they_were_before_with_when_they_were_set(world: World, alice: bytes) -> None:
    suspended = (await set_state(world, alice, status=SUSPENDED)).updated_at.ToMicroseconds()
    world.clock.ms += 1
    limited = (await set_state(world, alice, limited=True)).updated_at.ToMicroseconds()
    event = world.bus.published[-1]
    assert isinstance(event, AccountChanged)
    assert (event.status, event.status_version) == (SUSPENDED, suspended)
    assert (event.limited, event.limited_version, event.version) == (True, limited, limited)


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
