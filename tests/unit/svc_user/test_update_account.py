"""UpdateAccount: what is given changes, is told to everybody, and names nobody; how names move is in test_renaming.py."""

import asyncio

import pytest
from aviary.user.v1 import user_pb2
from aviary.user.v1.events_pb2 import AccountChanged, AccountSignal
from aviary.user.v1.user_pb2 import SetAccountStateRequest
from structlog.testing import capture_logs

from readers.recent import PROFILE
from runtime.context import acting
from tests.unit.svc_user.people import Person, can_log_in
from tests.unit.svc_user.world import (
    PASSWORD,
    SERVICE,
    TEN_MINUTES_MS,
    CallAt,
    World,
    failure,
)


@pytest.fixture
async def alice(world: World) -> Person:
    alice = Person(world, (await world.register("alice")).user)
    world.bus.published.clear()
    world.clock.ms += 1000
    return alice


async def test_what_is_given_changes_and_what_is_absent_stays(world: World, alice: Person) -> None:
    changed = await alice.update(display_name="Alice Ä", bio="two\nlines")
    assert (changed.username, changed.display_name, changed.bio) == ("alice", "Alice Ä", "two\nlines")
    assert (changed.email, changed.role) == (alice.email, "user")
    assert (await alice.update(bio="")).display_name == "Alice Ä"
    (stored,) = await world.store.get_users([alice.user_id])
    assert (stored.display_name, stored.bio) == ("Alice Ä", "")


async def test_updated_at_is_when_it_changed_and_rises_although_the_clock_does_not(world: World, alice: Person) -> None:
    first = await alice.update(bio="1")
    assert first.updated_at.ToMicroseconds() == world.clock.now_us()
    assert first.created_at.ToMilliseconds() == world.clock.ms - 1000
    world.clock.ms -= 500
    second = await alice.update(bio="2")
    assert second.updated_at.ToMicroseconds() == first.updated_at.ToMicroseconds() + 1


async def test_nothing_given_changes_nothing(world: World, alice: Person) -> None:
    same = await alice.update()
    assert same.updated_at == same.created_at
    assert await alice.update(display_name="alice", username="alice") == same
    assert not world.bus.published


async def test_a_change_is_announced_and_told_to_caches_without_anything_personal(world: World, alice: Person) -> None:
    with capture_logs() as logs:
        changed = await alice.update(username="liddell", display_name="Alice Liddell", bio="rabbits")
        await alice.move("rabbit@example.org")
    announced, *_ = [event for event in world.bus.published if isinstance(event, AccountChanged)]
    assert (announced.user_id, announced.version) == (alice.user_id.bytes, changed.updated_at.ToMicroseconds())
    told = [signal for signal in world.bus.signals if isinstance(signal, AccountSignal) and signal.changes]
    assert told[0].changes[0].version == announced.version
    assert world.recent.seen[0] == (alice.user_id.bytes, PROFILE, announced.version.to_bytes(8))
    everything = str(logs).encode() + b"".join(message.SerializeToString() for message in [*world.bus.published, *told])
    for personal in (b"liddell", b"Liddell", b"rabbit", b"example.org", PASSWORD.encode()):
        assert personal not in everything


async def test_a_change_of_which_caches_could_not_be_told_shows_them_a_gap(world: World, alice: Person) -> None:
    def die() -> None:
        raise RuntimeError("killed")

    before = world.signals._sequence
    world.change(faults=CallAt("user.change.after_batch", die))
    await failure(alice.update(bio="stored"))
    assert world.signals._sequence == before + 1


async def test_a_repetition_tells_caches_although_nothing_differs_any_more(world: World, alice: Person) -> None:
    await alice.update(bio="stored")
    world.bus.signals.clear()
    world.recent.seen.clear()
    await alice.update(bio="stored")
    assert [bool(signal.changes) for signal in world.bus.signals] == [True]
    assert [kind for _, kind, _ in world.recent.seen] == [PROFILE]


async def test_a_refused_change_shows_nobody_a_gap(world: World, alice: Person) -> None:
    await world.register("bobby")
    before = world.signals._sequence
    assert (await failure(alice.update(username="bobby"))).reason == "USERNAME_TAKEN"
    assert world.signals._sequence == before


async def test_parallel_changes_of_different_fields_all_stay(world: World, alice: Person) -> None:
    await asyncio.gather(alice.update(display_name="A"), alice.update(bio="B"), alice.update(username="carol"))
    (stored,) = await world.store.get_users([alice.user_id])
    assert (stored.display_name, stored.bio, stored.username) == ("A", "B", "carol")


@pytest.mark.parametrize(
    "name", ["admin", "ADM1N", "a_d_m_i_n", "adrnin", "r00t", "aviary", "Av1ary", "5upport", "m_e", "a_p_i"]
)
async def test_a_reserved_username_and_what_looks_like_one_is_refused(world: World, alice: Person, name: str) -> None:
    for refused in (alice.update(username=name), world.register(name, email="other@example.org")):
        error = await failure(refused)
        assert (error.reason, [field.field for field in error.fields]) == ("USERNAME_RESERVED", ["username"])


@pytest.mark.parametrize("name", ["administer", "roots", "badmin", "supper", "tom", "_alice_"])
async def test_a_username_that_only_resembles_a_reserved_one_is_free(alice: Person, name: str) -> None:
    assert (await alice.update(username=name)).username == name


async def test_an_import_may_have_a_reserved_username(world: World) -> None:
    with acting(SERVICE):
        assert (await world.users.ImportUser(user_pb2.ImportUserRequest(username="admin", display_name="x"))).created


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", ""),
        ("display_name", "x" * 51),
        ("display_name", "two\nlines"),
        ("display_name", " \u3000\u200b"),
        ("display_name", "moc.elpmaxe\u202e"),
        ("bio", "x" * 161),
        ("bio", "a\x00b"),
        ("username", "al"),
        ("username", "sixteen_letters_"),
        ("username", "аdmin"),
        ("username", "ad\u200bmin"),
        ("username", "ａｄｍｉｎ"),
        ("email", "nowhere"),
        ("email", ""),
    ],
)
async def test_a_field_out_of_bounds_is_named(alice: Person, field: str, value: str) -> None:
    error = await failure(alice.update(**{field: value, "current_password": PASSWORD}))
    assert (error.reason, [f.field for f in error.fields]) == ("INVALID_REQUEST", [field])


async def test_another_email_address_needs_the_password(world: World, alice: Person) -> None:
    error = await failure(alice.update(email="new@example.org"))
    assert (error.reason, [f.field for f in error.fields]) == ("INVALID_REQUEST", ["current_password"])
    assert (await failure(alice.update(email="new@example.org", current_password="another"))).reason == "PASSWORD_WRONG"
    assert (await alice.move("new@example.org")).email == "new@example.org"
    assert await can_log_in(world, "NEW@example.org")
    assert not await can_log_in(world, alice.email)


async def test_an_email_address_that_was_given_up_is_free_at_once(world: World, alice: Person) -> None:
    await alice.move("new@example.org")
    assert await world.register("bobby", email=alice.email)
    assert (await failure(alice.move(alice.email))).reason == "EMAIL_TAKEN"


async def test_an_email_address_may_change_its_case(world: World, alice: Person) -> None:
    assert (await alice.move(alice.email.upper())).email == alice.email.upper()
    assert (await failure(world.register("bobby", email=alice.email))).reason == "EMAIL_TAKEN"


@pytest.mark.parametrize(
    "email", ["o'brien+tag/x=y@sub.example.org", "a@xn--bcher-kva.example", "!#$%&*?^_`{|}~@example.org", "1@1.example"]
)
async def test_an_odd_but_legal_email_address_is_taken(world: World, alice: Person, email: str) -> None:
    assert (await alice.move(email)).email == email
    assert await can_log_in(world, email)


async def test_a_taken_username_leaves_the_email_address_to_be_tried_again(world: World, alice: Person) -> None:
    await world.register("bobby")
    both = {"email": "new@example.org", "current_password": PASSWORD}
    assert (await failure(alice.update(username="bobby", **both))).reason == "USERNAME_TAKEN"
    assert not await can_log_in(world, "new@example.org")
    world.clock.ms += 1
    changed = await alice.update(username="carol", **both)
    assert (changed.username, changed.email) == ("carol", "new@example.org")


async def test_an_email_address_claimed_in_vain_is_free_after_ten_minutes(world: World, alice: Person) -> None:
    await world.register("bobby")
    await failure(alice.update(username="bobby", email="new@example.org", current_password=PASSWORD))
    assert (await failure(world.register("other", email="new@example.org"))).reason == "EMAIL_TAKEN"
    world.clock.ms += TEN_MINUTES_MS
    assert await world.register("other", email="new@example.org")


async def test_a_suspended_account_is_not_changed_by_its_owner(world: World, alice: Person) -> None:
    with acting(SERVICE):
        state = SetAccountStateRequest(user_id=alice.user_id.bytes, status=user_pb2.USER_STATUS_SUSPENDED)
        await world.users.SetAccountState(state)
    assert (await failure(alice.update(bio="still here"))).reason == "ACCOUNT_SUSPENDED"
