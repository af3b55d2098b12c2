"""Register makes an account whole or not at all, whoever else wants its names and wherever it dies."""

import asyncio
import uuid

import jwt
import pytest
from aviary.user.v1.events_pb2 import UserRegistered
from aviary.user.v1.user_pb2 import LoginRequest
from structlog.testing import capture_logs

from svc_user.domain.accounts import User
from svc_user.domain.names import Claim, username_key
from svc_user.events import user_registered
from svc_user.tokens import key_id
from tests.unit.svc_user.world import PASSWORD, SIGNING_KEY, TEN_MINUTES_MS, CallAt, World, failure


async def test_a_new_account_is_answered_as_its_owner_sees_it(world: World) -> None:
    answer = await world.register("Alice_1", email="Alice@Example.org", display_name="Alice Ä")
    assert (answer.user.username, answer.user.display_name) == ("Alice_1", "Alice Ä")
    assert (answer.user.email, answer.user.role) == ("Alice@Example.org", "user")
    assert answer.user.created_at.ToMilliseconds() == world.clock.ms == answer.user.updated_at.ToMilliseconds()
    assert uuid.UUID(answer.user.user_id).version == 7
    assert (answer.token_type, answer.expires_in) == ("Bearer", 900)


async def test_the_access_token_says_who_and_for_how_long_and_is_signed(world: World) -> None:
    answer = await world.register()
    now = world.clock.ms // 1000
    claims = jwt.decode(
        answer.access_token,
        SIGNING_KEY.public_key(),
        algorithms=["EdDSA"],
        audience="aviary",
        issuer="aviary",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims.pop("sid") != answer.user.user_id
    assert claims == {
        "iss": "aviary",
        "aud": "aviary",
        "sub": answer.user.user_id,
        "scope": "read write follow notifications account",
        "iat": now,
        "exp": now + 900,
    }
    assert jwt.get_unverified_header(answer.access_token) == {
        "alg": "EdDSA",
        "kid": key_id(SIGNING_KEY),
        "typ": "JWT",
    }


async def test_without_a_display_name_the_username_is_shown(world: World) -> None:
    assert (await world.register("alice")).user.display_name == "alice"


async def test_a_username_is_taken_whatever_its_case(world: World) -> None:
    await world.register("Alice")
    assert (await failure(world.register("aLICE", email="other@example.org"))).reason == "USERNAME_TAKEN"


async def test_an_email_address_is_taken_whatever_its_case(world: World) -> None:
    await world.register("alice", email="Alice@Example.org")
    assert (await failure(world.register("bob", email="aLICE@eXAMPLE.org"))).reason == "EMAIL_TAKEN"


async def test_a_username_is_free_again_when_the_email_address_was_taken(world: World) -> None:
    await world.register("alice", email="alice@example.org")
    await failure(world.register("bob", email="alice@example.org"))
    assert (await world.register("bob", email="bob@example.org")).user.username == "bob"


async def test_of_twenty_who_want_one_username_exactly_one_gets_it(world: World) -> None:
    attempts = [world.register("alice", email=f"a{i}@example.org") for i in range(20)]
    answers = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert len((await world.store.list_users(b"", 100)).users) == 1


@pytest.mark.parametrize("password", ["password1", "PASSWORD1", "iloveyou"])
async def test_a_common_password_is_refused_whatever_its_case(world: World, password: str) -> None:
    error = await failure(world.register(password=password))
    assert (error.reason, [f.field for f in error.fields]) == ("PASSWORD_TOO_COMMON", ["password"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "al"),
        ("username", "sixteen_letters_"),
        ("username", "al ice"),
        ("username", "alice\n"),
        ("email", "nowhere"),
        ("email", "somebody@nowhere"),
        ("password", "seven77"),
        ("password", "x" * 129),
        ("display_name", ""),
        ("display_name", "x" * 51),
        ("display_name", "two\nlines"),
        ("display_name", "a\x9fb"),
    ],
)
async def test_a_field_out_of_bounds_is_named(world: World, field: str, value: str) -> None:
    error = await failure(world.register(**{"email": "a@example.org", field: value}))
    assert (error.reason, [f.field for f in error.fields]) == ("INVALID_REQUEST", [field])


async def test_claims_of_a_registration_that_died_are_free_after_ten_minutes(world: World) -> None:
    await die_after_claims(world, "alice", "alice@example.org")
    world.clock.ms += TEN_MINUTES_MS
    answer = await world.register("alice", email="alice@example.org")
    found = await world.store.claims([username_key("alice"), world.deps.emails.claim_key("alice@example.org")])
    assert {str(claim.user_id) for claim in found.values()} == {answer.user.user_id}
    assert len(found) == 2


async def test_claims_of_a_registration_under_way_are_not_taken_over(world: World) -> None:
    await die_after_claims(world, "alice", "alice@example.org")
    world.clock.ms += TEN_MINUTES_MS - 1
    assert (await failure(world.register("alice", email="new@example.org"))).reason == "USERNAME_TAKEN"
    assert (await failure(world.register("bob", email="alice@example.org"))).reason == "EMAIL_TAKEN"


async def test_claims_of_an_account_are_kept_for_ever(world: World) -> None:
    await world.register("alice")
    world.clock.ms += 1000 * TEN_MINUTES_MS
    assert (await failure(world.register("alice", email="new@example.org"))).reason == "USERNAME_TAKEN"


async def test_the_batch_of_a_dead_registration_that_arrives_late_makes_no_second_account(world: World) -> None:
    dead = await die_after_claims(world, "alice", "alice@example.org")
    world.clock.ms += TEN_MINUTES_MS
    answer = await world.register("alice", email="alice@example.org")
    late = User(dead, "alice", "alice")
    await world.store.insert_account(late, "hash", announce=user_registered(late))
    assert [str(u.user_id) for u in (await world.store.list_users(b"", 10)).users] == [answer.user.user_id]


async def test_an_account_is_not_written_under_claims_older_than_thirty_seconds(world: World) -> None:
    def stand_still() -> None:
        world.clock.ms += 30_000

    world.change(faults=CallAt("user.register.after_claims", stand_still))
    assert (await failure(world.register())).reason == "DEPENDENCY_UNAVAILABLE"
    assert not (await world.store.list_users(b"", 10)).users


async def test_a_registration_that_dies_after_its_batch_leaves_an_account_that_can_log_in(world: World) -> None:
    world.change(faults=CallAt("user.register.after_batch", die))
    await failure(world.register("alice"))
    assert await world.users.Login(LoginRequest(login="alice", password=PASSWORD))
    assert not world.bus.published
    await world.outbox.relay_all()
    assert len(world.bus.published) == 1


async def test_neither_announcement_nor_logs_nor_the_stored_row_hold_anything_personal(world: World) -> None:
    with capture_logs() as logs:
        answer = await world.register("alice", email="alice@example.org", display_name="Alice Liddell")
        await failure(world.register("alice", email="alice@example.org"))
        await failure(world.register("other", email="alice@example.org"))
    (event,) = world.bus.published
    assert isinstance(event, UserRegistered)
    assert {field.name for field, _ in event.ListFields()} == {"event_id", "occurred_at", "user_id"}
    assert str(uuid.UUID(bytes=event.user_id)) == answer.user.user_id
    (user,) = await world.store.get_users([uuid.UUID(answer.user.user_id)])
    for secret in ("alice", "Liddell", "example.org", PASSWORD):
        assert secret not in str(logs)
        assert secret.encode() not in event.SerializeToString() + user.email


async def die_after_claims(world: World, username: str, email: str) -> uuid.UUID:
    """What a registration leaves that was killed between its claims and its batch."""
    dead = world.deps.ids.next()
    await world.store.claim(username_key(username), Claim(dead))
    await world.store.claim(world.deps.emails.claim_key(email), Claim(dead))
    return dead


def die() -> None:
    raise RuntimeError("killed")
