"""Usernames and e-mail addresses move whole or not at all, whoever else wants them, and wherever the process dies."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import pytest
from aviary.user.v1 import user_pb2
from aviary.user.v1.events_pb2 import AccountChanged

from runtime.context import acting
from runtime.errors import Unavailable
from signals.publisher import Publisher
from svc_user.domain.accounts import User
from svc_user.domain.names import Claim, username_key
from svc_user.store_memory import MemoryUserStore
from tests.unit.svc_user.people import Person, can_log_in, whose
from tests.unit.svc_user.world import SERVICE, TEN_MINUTES_MS, CallAt, World, failure

THIRTY_DAYS_MS = 30 * 24 * 3600 * 1000


@pytest.fixture
async def alice(world: World) -> Person:
    alice = Person(world, (await world.register("alice")).user)
    world.bus.published.clear()
    world.clock.ms += 1000
    return alice


async def test_a_new_username_is_the_accounts_at_once_and_the_old_one_nobodys(world: World, alice: Person) -> None:
    await alice.update(username="Carol")
    assert await whose(world, "alice", "carol") == {"carol": str(alice.user_id)}
    assert await can_log_in(world, "CAROL")
    assert not await can_log_in(world, "alice")


async def test_the_old_username_is_held_for_thirty_days(world: World, alice: Person) -> None:
    await alice.update(username="carol")
    world.clock.ms += THIRTY_DAYS_MS - 1
    assert (await failure(world.register("alice", email="other@example.org"))).reason == "USERNAME_TAKEN"
    world.clock.ms += 1
    other = await world.register("alice", email="other@example.org")
    assert await whose(world, "alice", "carol") == {"alice": other.user.user_id, "carol": str(alice.user_id)}


async def test_an_import_does_not_take_a_held_username_for_its_account(world: World, alice: Person) -> None:
    await alice.update(username="carol")
    with acting(SERVICE):
        request = user_pb2.ImportUserRequest(username="alice", display_name="Alice")
        assert (await failure(world.users.ImportUser(request))).reason == "USERNAME_TAKEN"


async def test_the_owner_may_go_back_and_keep_the_name_for_ever(world: World, alice: Person) -> None:
    await alice.update(username="carol")
    world.clock.ms += 1000
    assert (await alice.update(username="alice")).username == "alice"
    world.clock.ms += 2 * THIRTY_DAYS_MS
    assert (await failure(world.register("alice", email="other@example.org"))).reason == "USERNAME_TAKEN"
    assert await world.register("carol")


async def test_another_case_of_the_own_username_is_no_other_name(world: World, alice: Person) -> None:
    assert (await alice.update(username="ALICE")).username == "ALICE"
    assert await whose(world, "alice") == {"alice": str(alice.user_id)}
    world.clock.ms += 2 * THIRTY_DAYS_MS
    assert (await failure(world.register("alice", email="other@example.org"))).reason == "USERNAME_TAKEN"


async def test_of_two_who_want_one_username_one_gets_it(world: World, alice: Person) -> None:
    bobby = Person(world, (await world.register("bobby")).user)
    wants = [alice.update(username="wanted"), bobby.update(username="wanted"), world.register("wanted")]
    answers = await asyncio.gather(*wants, return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1


class Killed(Exception):
    """The process ended here."""


def die() -> None:
    raise Killed


@pytest.mark.parametrize("point", ["user.rename.after_claims", "user.rename.after_holds"])
async def test_a_rename_that_dies_before_the_row_leaves_the_old_name_and_is_done_by_the_next_try(
    world: World, alice: Person, point: str
) -> None:
    faults = world.deps.faults
    world.change(faults=CallAt(point, die))
    await failure(alice.update(username="carol"))
    world.change(faults=faults)
    assert await whose(world, "alice", "carol") == {"alice": str(alice.user_id)}
    assert (await failure(world.register("carol"))).reason == "USERNAME_TAKEN"
    assert (await failure(world.register("alice", email="other@example.org"))).reason == "USERNAME_TAKEN"
    assert (await alice.update(username="carol")).username == "carol"
    assert await whose(world, "alice", "carol") == {"carol": str(alice.user_id)}
    world.clock.ms += THIRTY_DAYS_MS - 1
    assert (await failure(world.register("alice", email="other@example.org"))).reason == "USERNAME_TAKEN"


@pytest.mark.parametrize("point", ["user.rename.after_claims", "user.rename.after_holds"])
async def test_a_name_claimed_by_a_rename_that_died_is_free_after_ten_minutes_and_the_old_one_kept_for_ever(
    world: World, alice: Person, point: str
) -> None:
    faults = world.deps.faults
    world.change(faults=CallAt(point, die))
    await failure(alice.update(username="carol"))
    world.change(faults=faults)
    world.clock.ms += TEN_MINUTES_MS - 1
    assert (await failure(world.register("carol"))).reason == "USERNAME_TAKEN"
    world.clock.ms += 1
    carol = await world.register("carol")
    world.clock.ms += 2 * THIRTY_DAYS_MS
    assert (await failure(world.register("alice", email="other@example.org"))).reason == "USERNAME_TAKEN"
    assert await whose(world, "alice", "carol") == {"alice": str(alice.user_id), "carol": carol.user.user_id}


class Between:
    """A store after whose first look at claims something else happens."""

    def __init__(self, store: MemoryUserStore, happens: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._happens: Callable[[], Awaitable[None]] | None = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def claims(self, keys: Collection[bytes]) -> dict[bytes, Claim]:
        found = await self._store.claims(keys)
        happens, self._happens = self._happens, None
        if happens:
            await happens()
        return found


async def test_of_two_tries_for_one_name_the_earlier_does_not_claim_below_the_later(
    world: World, alice: Person
) -> None:
    """What the later one may still write would stand above what whoever takes the name over makes void."""
    faults = world.deps.faults

    async def later() -> None:
        world.clock.ms += 5000
        world.change(faults=CallAt("user.rename.after_claims", die))
        await failure(alice.update(username="carol"))
        world.change(faults=faults)
        world.clock.ms -= 5000

    world.change(store=Between(world.store, later))
    assert (await failure(alice.update(username="carol"))).reason == "DEPENDENCY_UNAVAILABLE"
    (claim,) = (await world.store.claims([username_key("carol")])).values()
    assert claim.written_us == world.clock.now_us() + 5_000_000


async def test_a_way_back_that_died_leaves_the_name_held_as_long_as_before(world: World, alice: Person) -> None:
    await alice.update(username="carol")
    world.clock.ms += 1000
    faults = world.deps.faults
    world.change(faults=CallAt("user.rename.after_claims", die))
    await failure(alice.update(username="alice"))
    world.change(faults=faults)
    world.clock.ms += THIRTY_DAYS_MS - 1001
    assert (await failure(world.register("alice", email="other@example.org"))).reason == "USERNAME_TAKEN"
    world.clock.ms += 1
    assert await world.register("alice", email="other@example.org")


async def test_the_next_try_goes_on_although_its_clock_is_behind(world: World, alice: Person) -> None:
    """It writes above what the first try may have left in a queue, or neither it nor a fence would win over that."""
    faults = world.deps.faults
    world.change(faults=CallAt("user.rename.after_holds", die))
    await failure(alice.update(username="carol"))
    world.change(faults=faults)
    (tried,) = (await world.store.claims([username_key("carol")])).values()
    world.clock.ms -= 500
    changed = await alice.update(username="carol")
    assert changed.updated_at.ToMicroseconds() > tried.written_us + 1


@pytest.mark.parametrize("point", ["user.change.after_batch", "user.change.before_answer"])
async def test_a_rename_that_dies_after_the_row_is_done(world: World, alice: Person, point: str) -> None:
    faults = world.deps.faults
    world.change(faults=CallAt(point, die))
    await failure(alice.update(username="carol"))
    world.change(faults=faults)
    assert await whose(world, "alice", "carol") == {"carol": str(alice.user_id)}
    world.clock.ms += THIRTY_DAYS_MS - 1
    assert (await failure(world.register("alice", email="other@example.org"))).reason == "USERNAME_TAKEN"
    world.clock.ms += 1
    assert await world.register("alice", email="other@example.org")


class Late:
    """A store to which changes of accounts come through when a test says so, long after their callers gave up."""

    def __init__(self, store: MemoryUserStore) -> None:
        self._store = store
        self._late: list[tuple[User, User, AccountChanged]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def update_account(self, before: User, after: User, announce: AccountChanged) -> None:
        self._late.append((before, after, announce))
        raise Unavailable("not acknowledged")

    async def come_through(self) -> None:
        for before, after, announce in self._late:
            await self._store.update_account(before, after, announce=announce)


async def test_the_batch_of_a_rename_that_died_and_arrives_late_gives_no_name_twice(
    world: World, alice: Person
) -> None:
    late = Late(world.store)
    world.change(store=late)
    await failure(alice.update(username="carol"))
    world.change(store=world.store)
    world.clock.ms += TEN_MINUTES_MS
    carol = await world.register("carol")
    await late.come_through()
    assert await whose(world, "alice", "carol") == {"alice": str(alice.user_id), "carol": carol.user.user_id}


async def test_a_row_is_not_written_under_claims_older_than_thirty_seconds(world: World, alice: Person) -> None:
    def stand_still() -> None:
        world.clock.ms += 30_000

    world.change(faults=CallAt("user.rename.after_holds", stand_still))
    assert (await failure(alice.update(username="carol"))).reason == "DEPENDENCY_UNAVAILABLE"
    assert await whose(world, "alice", "carol") == {"alice": str(alice.user_id)}


class Slow:
    """Signals that are told, and whose first teller stands still after that until a test lets it go on."""

    def __init__(self, signals: Publisher) -> None:
        self._signals = signals
        self.told, self.go_on = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._signals, name)

    async def tell(self, **fields: Any) -> None:
        await self._signals.tell(**fields)
        if not self.told.is_set():
            self.told.set()
            await self.go_on.wait()


class Expiring(Late):
    """A store in which a claim that is left to expire is gone at once."""

    async def update_account(self, before: User, after: User, announce: AccountChanged) -> None:
        await self._store.update_account(before, after, announce=announce)

    async def expire(self, key: bytes, held: Claim, after_s: int) -> None:
        await self._store.release(key, held)


async def test_whoever_writes_a_name_again_is_not_let_go_of_by_a_slower_rename(world: World, alice: Person) -> None:
    """A rename stands still before it lets go of the old name; meanwhile the owner takes it back. It is not left to expire."""
    slow = Slow(world.signals)
    world.change(signals=slow, store=Expiring(world.store))
    renaming = asyncio.create_task(alice.update(username="carol"))
    await slow.told.wait()
    world.clock.ms += 1
    await alice.update(username="Alice")
    slow.go_on.set()
    await renaming
    assert list(await world.store.claims([username_key("alice")])) == [username_key("alice")]
    assert await whose(world, "alice") == {"alice": str(alice.user_id)}
