"""An account takes few other usernames within 30 days, so that nobody holds names in stock; tries in vain are none of them."""

import asyncio

import pytest

from svc_user.domain.names import username_key
from tests.unit.svc_user.people import Person, whose
from tests.unit.svc_user.world import PASSWORD, CallAt, World, failure

MOST = 3
THIRTY_DAYS_MS = 30 * 24 * 3600 * 1000
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
async def alice(world: World) -> Person:
    return Person(world, (await world.register("alice")).user)


async def rename(alice: Person, *names: str) -> None:
    """One after the other, a day apart."""
    for name in names:
        assert (await alice.update(username=name)).username == name
        alice.world.clock.ms += DAY_MS


async def test_a_fourth_name_within_thirty_days_is_refused_until_the_first_counts_no_more(
    world: World, alice: Person
) -> None:
    await rename(alice, "bob", "carol", "dave")
    error = await failure(alice.update(username="erin"))
    assert (error.status.name, error.reason) == ("RESOURCE_EXHAUSTED", "RENAME_LIMIT_REACHED")
    assert [(field.field, "3 other names within 30 days" in field.message) for field in error.fields] == [
        ("username", True)
    ]
    assert error.retry_after_s == 27 * 24 * 3600
    assert await whose(world, "dave", "erin") == {"dave": str(alice.user_id)}
    world.clock.ms += 27 * DAY_MS
    await rename(alice, "erin")


async def test_what_is_refused_claims_nothing(world: World, alice: Person) -> None:
    await rename(alice, "bob", "carol", "dave")
    await failure(alice.update(username="erin"))
    assert await world.register("erin")


async def test_a_hundred_tries_at_once_claim_no_more_names_than_may_be_taken(world: World, alice: Person) -> None:
    names = [f"name{number}" for number in range(100)]
    answers = await asyncio.gather(*(alice.update(username=name) for name in names), return_exceptions=True)
    assert any(not isinstance(answer, BaseException) for answer in answers)
    assert len(await world.store.claims([username_key(name) for name in names])) == MOST


async def test_the_profile_the_address_and_another_case_go_on_changing(alice: Person) -> None:
    await rename(alice, "ALICE", "bob", "carol", "dave", "DAVE")
    assert (await alice.update(bio="hello")).bio == "hello"
    assert (await alice.move("new@example.org")).email == "new@example.org"


async def test_going_back_and_forth_between_own_names_counts_once(alice: Person) -> None:
    await rename(alice, "bob", "alice", "bob", "carol", "alice", "bob", "carol")


async def test_a_name_that_is_taken_does_not_count(world: World, alice: Person) -> None:
    await world.register("taken", email="somebody@example.org")
    for _ in range(2 * MOST):
        assert (await failure(alice.update(username="taken"))).reason == "USERNAME_TAKEN"
        both = {"email": "somebody@example.org", "current_password": PASSWORD}
        assert (await failure(alice.update(username="free", **both))).reason == "EMAIL_TAKEN"
    await rename(alice, "bob", "carol", "dave")


@pytest.mark.parametrize("point", ["user.rename.after_count", "user.rename.after_claims", "user.rename.after_holds"])
async def test_a_rename_that_died_and_is_tried_again_counts_once(world: World, alice: Person, point: str) -> None:
    def die() -> None:
        raise RuntimeError("killed")

    faults = world.deps.faults
    world.change(faults=CallAt(point, die))
    assert (await failure(alice.update(username="bob"))).reason == "INTERNAL"
    world.change(faults=faults)
    world.clock.ms += 1
    await rename(alice, "bob", "carol", "dave")


async def test_of_another_account_nothing_counts(world: World, alice: Person) -> None:
    await rename(alice, "bob", "carol", "dave")
    await rename(Person(world, (await world.register("erin")).user), "frank")
