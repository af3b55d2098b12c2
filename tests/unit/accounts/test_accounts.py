"""What is known of accounts: bounded, and never older than it says."""

import asyncio

import pytest
from aviary.user.v1.events_pb2 import AccountChange, AccountChanged
from aviary.user.v1.user_pb2 import USER_STATUS_ACTIVE, USER_STATUS_DELETED, USER_STATUS_SUSPENDED, User
from grpc import aio

from accounts import BELIEVED_S, RENEWED_S, Accounts
from runtime.errors import DeadlineExceeded
from simulation.bus import MemoryBus
from tests.unit.views.world import Gate, World
from tests.waiting import until
from views.build import listen


async def test_an_account_that_did_not_change_keeps_its_presentations(world: World) -> None:
    alice = world.user("alice")
    before = (await world.deps.authors.get([alice]))[alice]
    world.clock.advance(61)
    assert world.deps.authors.cached([alice]) is None
    assert (await world.deps.authors.get([alice]))[alice] is before
    assert world.deps.authors.cached([alice]) is not None


async def test_what_is_kept_is_bounded(world: World) -> None:
    people = [world.user(f"u{n}") for n in range(3)]
    cache = Accounts(world.deps.user, world.clock, size=2)
    await cache.get(people)
    assert cache.cached(people[:1]) is None and cache.cached(people[1:]) is not None


def changed(world: World, user_id: bytes, version: int = 0) -> AccountChange:
    return AccountChange(user_id=user_id, version=version, status=world.users[user_id].status)


async def test_an_account_that_is_told_to_have_changed_is_asked_for_again(world: World) -> None:
    alice = world.user("alice")
    await world.warm()
    await world.deps.authors.get([alice])
    world.users[alice].display_name = "Alicia"
    assert (await world.deps.authors.get([alice]))[alice].user.display_name == "Alice"
    await world.tell_accounts(changed(world, alice))
    assert (await world.deps.authors.get([alice]))[alice].user.display_name == "Alicia"
    assert world.deps.authors.cached([alice]) is not None


async def test_who_is_told_to_be_suspended_is_hidden_also_while_the_account_cannot_be_asked_for(world: World) -> None:
    """P20"""
    alice = world.user("alice")
    await world.warm()
    await world.deps.authors.get([alice])
    world.down.add("GetUsers")
    world.suspend(alice)
    await world.tell_accounts(changed(world, alice))
    assert (await world.deps.authors.get([alice]))[alice].hidden
    world.down.clear()
    world.suspend(alice, USER_STATUS_ACTIVE)
    assert not (await world.deps.authors.get([alice]))[alice].hidden, "what its owner says counts more"


async def test_an_account_that_was_read_before_it_was_suspended_is_not_believed_afterwards(world: World) -> None:
    """P20: the answer arrives after the signal, and after the answer to who asked later."""
    alice = world.user("alice")
    await world.warm()
    gate = Gate()
    world.hold["GetUsers"] = gate
    early = asyncio.ensure_future(world.deps.authors.get([alice]))
    await gate.arrived.wait()
    world.suspend(alice)
    await world.tell_accounts(changed(world, alice))
    gate.open()
    await early
    assert (await world.deps.authors.get([alice]))[alice].hidden


async def test_a_suspension_that_nobody_told_is_noticed_within_a_second(world: World) -> None:
    """P20: NATS is away, or a signal was lost."""
    alice = world.user("alice")
    await world.warm()
    await world.deps.authors.get([alice])
    world.suspend(alice)
    world.clock.advance(1)
    assert (await world.deps.authors.get([alice]))[alice].hidden
    await world.warm()
    world.suspend(alice, USER_STATUS_ACTIVE)
    await world.deps.authors.get([alice])
    world.told_accounts += 1
    await world.heartbeat()
    assert not (await world.deps.authors.get([alice]))[alice].hidden, "after a gap all is asked for"


async def test_after_one_who_waited_for_accounts_in_vain_others_do_not_wait_for_a_second(world: World) -> None:
    """P82: svc_user hangs."""

    async def hang() -> None:
        raise DeadlineExceeded("svc_user hangs")

    alice = world.user("alice")
    await world.deps.authors.get([alice])
    world.hold["GetUsers"] = hang
    for waited in (1, 0.9):
        world.clock.advance(waited)
        assert alice in await world.deps.authors.get([alice])
    assert world.calls["GetUsers"] == 2
    assert alice in await world.deps.authors.get([alice], fresh=[alice]), "one's own is asked for all the same"
    with pytest.raises(aio.AioRpcError):
        await world.deps.authors.get([world.user("bob")])
    del world.hold["GetUsers"]
    world.clock.advance(1)
    await world.deps.authors.get([alice])
    assert world.calls["GetUsers"] == 5


async def test_while_signals_are_missing_an_account_is_asked_for_twice_a_second(world: World) -> None:
    alice = world.user("alice")
    await world.deps.authors.get([alice])
    world.clock.advance(0.4)
    assert world.deps.authors.cached([alice]) is not None
    world.clock.advance(0.2)
    assert world.deps.authors.cached([alice]) is None


async def test_an_announced_change_that_nobody_signalled_is_known(world: World) -> None:
    alice = world.user("alice")
    bus = MemoryBus()
    await listen(world.deps, bus)
    await world.warm()
    await world.deps.authors.get([alice])
    world.suspend(alice)
    await bus.publish(AccountChanged(event_id=b"e" * 16, user_id=alice, status=USER_STATUS_SUSPENDED))
    assert (await world.deps.authors.get([alice]))[alice].hidden


async def test_without_profiles_only_what_state_an_account_is_in_is_kept(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    accounts = Accounts(world.deps.user, world.clock, size=10, profiles=False)
    world.suspend(bob)
    known = await accounts.get([alice, bob])
    assert known[alice].user == known[bob].user == User()
    assert (known[alice].hidden, known[bob].hidden, known[bob].deleted) == (False, True, False)
    world.suspend(bob, USER_STATUS_DELETED)
    world.clock.advance(1)
    known = await accounts.get([alice, bob])
    assert (known[alice].deleted, known[bob].hidden, known[bob].deleted) == (False, True, True)


@pytest.mark.parametrize("why", ["a gap", "no signals", "asked for anew"])
async def test_who_may_not_take_an_answer_from_before_asks_again(world: World, why: str) -> None:
    """P20: the question under way is older than the suspension, of which nobody here was told."""
    alice = world.user("alice")
    if why != "no signals":
        await world.warm()
    gate = Gate()
    world.hold["GetUsers"] = gate
    early = asyncio.ensure_future(world.deps.authors.get([alice]))
    await gate.arrived.wait()
    world.suspend(alice)
    if why == "a gap":
        world.told_accounts += 1
        await world.heartbeat()
    late = asyncio.ensure_future(world.deps.authors.get([alice], [alice] if why == "asked for anew" else ()))
    await world.until(lambda: world.calls["GetUsers"] == 2)
    gate.open()
    await early
    assert (await late)[alice].hidden


async def test_an_answer_that_arrives_late_does_not_take_the_place_of_a_newer_one(world: World) -> None:
    """P53: the own new name was read, and the answer of somebody who asked before comes after it."""
    alice = world.user("alice")
    await world.warm()
    gate = Gate()
    world.hold["GetUsers"] = gate
    early = asyncio.ensure_future(world.deps.authors.get([alice]))
    await gate.arrived.wait()
    del world.hold["GetUsers"]
    world.users[alice].display_name = "Alicia"
    world.clock.advance(0.1)
    assert (await world.deps.authors.get([alice], fresh=[alice]))[alice].user.display_name == "Alicia"
    gate.open()
    await early
    assert (await world.deps.authors.get([alice]))[alice].user.display_name == "Alicia"


async def test_who_was_told_to_be_suspended_stays_hidden_when_an_older_answer_comes_and_no_newer_one(
    world: World,
) -> None:
    """P20"""
    alice = world.user("alice")
    await world.warm()
    await world.deps.authors.get([alice])
    gate = Gate()
    world.hold["GetUsers"] = gate
    early = asyncio.ensure_future(world.deps.authors.get([alice], fresh=[alice]))
    await gate.arrived.wait()
    world.suspend(alice)
    await world.tell_accounts(changed(world, alice))
    gate.open()
    await early
    world.down.add("GetUsers")
    assert (await world.deps.authors.get([alice]))[alice].hidden


async def test_of_more_changes_than_are_remembered_during_a_read_none_is_overlooked(world: World) -> None:
    """P20: whatever was asked for before is asked for again."""
    alice = world.user("alice")
    await world.warm()
    gate = Gate()
    world.hold["GetUsers"] = gate
    early = asyncio.ensure_future(world.deps.authors.get([alice]))
    await gate.arrived.wait()
    world.suspend(alice)
    others = (AccountChange(user_id=number.to_bytes(16), status=USER_STATUS_ACTIVE) for number in range(10_000))
    await world.tell_accounts(changed(world, alice), *others)
    gate.open()
    await early
    assert (await world.deps.authors.get([alice]))[alice].hidden


async def test_a_change_that_is_told_late_does_not_show_who_is_hidden(world: World) -> None:
    """P20: of two changes the earlier one may be heard last, while nobody can be asked."""
    alice = world.user("alice")
    await world.warm()
    await world.deps.authors.get([alice])
    earlier = AccountChange(user_id=alice, version=1, status=USER_STATUS_ACTIVE)
    version = world.suspend(alice)
    world.down.add("GetUsers")
    await world.tell_accounts(changed(world, alice, version + 1))
    await world.tell_accounts(earlier)
    assert (await world.deps.authors.get([alice]))[alice].hidden


async def test_a_change_that_is_heard_while_signals_are_missing_is_asked_for_however_lately_the_account_was_read(
    world: World,
) -> None:
    alice = world.user("alice")
    await world.deps.authors.get([alice])
    world.users[alice].display_name = "Alicia"
    await world.tell_accounts(changed(world, alice))
    world.clock.advance(0.1)
    assert (await world.deps.authors.get([alice]))[alice].user.display_name == "Alicia"


async def test_an_account_that_will_be_too_old_soon_is_read_again_while_it_still_serves(world: World) -> None:
    """Nobody waits for it then, and of those who were read at the same time not everybody at the same moment."""
    people = [world.user(f"u{n}") for n in range(3)]
    await world.warm()
    await world.deps.authors.get(people)
    await aged(world, RENEWED_S - 1)
    assert world.deps.authors.cached(people) is not None
    await aged(world, 2)
    with world.counting() as made:
        assert world.deps.authors.cached(people) is not None
        await until(lambda: world.calls["GetUsers"] > 1)
    assert made == {"GetUsers": 1}
    await aged(world, BELIEVED_S - RENEWED_S)
    assert world.deps.authors.cached(people) is not None


async def aged(world: World, seconds: float) -> None:
    """Time passes, and everybody is heard meanwhile."""
    for _ in range(round(seconds / 0.5)):
        world.clock.advance(0.5)
        await world.heartbeat()
