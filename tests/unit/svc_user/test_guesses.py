"""Who guesses passwords is slowed down, and learns nothing by it; the owner logs in from a known address whatever others do."""

import asyncio
import math
from typing import Any

import pytest
from aviary.user.v1.user_pb2 import ChangePasswordRequest, LoginRequest

from runtime.config import Secret
from runtime.context import Caller, acting
from runtime.errors import ServiceError, Unavailable
from svc_user.guess_counts import Limit, LocalCounts
from svc_user.guesses import AT_ONE, BY_STRANGERS, FROM_ONE, Guesses, origin_of
from tests.unit.svc_user.hashing import HeldHashing, passwords_by
from tests.unit.svc_user.logins import log_in, owner
from tests.unit.svc_user.world import PASSWORD, World, failure

HERE, THERE = "192.0.2.1", "192.0.2.2"


async def guess(world: World, login: str = "alice", address: str = THERE) -> ServiceError:
    """A wrong password."""
    return await failure(log_in(world, login, password="not the password", client_address=address))


async def guesses(world: World, many: int, **where: str) -> set[str]:
    """What that many wrong passwords are answered."""
    return {(await guess(world, **where)).reason for _ in range(many)}


async def changing(world: World, caller: Caller, current: str) -> ServiceError:
    """How a change of the password fails."""
    request = ChangePasswordRequest(current_password=current, new_password="a new battery", client_address=THERE)
    with acting(caller):
        return await failure(world.users.ChangePassword(request))


async def test_after_ten_wrong_passwords_the_right_one_must_wait_too(world: World) -> None:
    await world.register("alice")
    assert await guesses(world, AT_ONE.most) == {"CREDENTIALS_WRONG"}
    refused = await failure(log_in(world, client_address=THERE))
    assert (refused.status.name, refused.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_GUESSES")
    assert refused.retry_after_s == pytest.approx(AT_ONE.window_ms / AT_ONE.most / 1000)
    world.clock.ms += math.ceil(refused.retry_after_s or 0) * 1000
    assert await log_in(world, client_address=THERE)


async def test_the_limit_says_nothing_about_whether_the_account_exists(world: World) -> None:
    await world.register("alice", email="alice@example.org")
    answers = [
        [(error.status, error.reason, error.detail, error.retry_after_s) for error in [await guess(world, name)]]
        for name in ("alice", "nobody", "alice@example.org", "nobody@example.org")
        for _ in range(AT_ONE.most + 2)
    ]
    runs = [answers[at : at + AT_ONE.most + 2] for at in range(0, len(answers), AT_ONE.most + 2)]
    assert all(run == runs[0] for run in runs)


async def test_right_passwords_are_not_counted(world: World) -> None:
    await world.register("alice")
    for _ in range(3 * AT_ONE.most):
        await log_in(world, client_address=HERE)
    assert await guesses(world, AT_ONE.most, address=HERE) == {"CREDENTIALS_WRONG"}


async def test_a_hundred_guesses_at_once_are_ten_guesses(world: World) -> None:
    """Tries are counted before they are judged."""
    await world.register("alice")
    answers = await asyncio.gather(*(guess(world) for _ in range(100)))
    assert sum(error.reason == "CREDENTIALS_WRONG" for error in answers) == AT_ONE.most


async def test_one_address_guesses_a_hundred_times_whatever_the_names(world: World) -> None:
    await world.register("bob")
    for number in range(FROM_ONE.most):
        assert (await guess(world, f"user{number}")).reason == "CREDENTIALS_WRONG"
    assert (await failure(log_in(world, "bob", client_address=THERE))).reason == "TOO_MANY_GUESSES"
    assert await log_in(world, "bob", client_address=HERE)


async def test_others_guess_a_hundred_times_and_the_owner_logs_in_where_the_owner_did_before(world: World) -> None:
    await world.register("alice")
    await log_in(world, client_address=HERE)
    for number in range(BY_STRANGERS.most):
        assert (await guess(world, address=f"198.51.100.{number}")).reason == "CREDENTIALS_WRONG"
    assert (await guess(world, address="203.0.113.1")).reason == "TOO_MANY_GUESSES"
    assert await log_in(world, client_address=HERE)
    assert (await failure(log_in(world, client_address="203.0.113.1"))).reason == "TOO_MANY_GUESSES"


async def test_tries_that_are_refused_fill_no_count_so_that_nobody_is_shut_out_by_them(world: World) -> None:
    await world.register("alice")
    await world.register("bobby")
    for _ in range(2 * BY_STRANGERS.most):
        await guess(world)
    assert await log_in(world, client_address="203.0.113.1")
    assert await log_in(world, "bobby", client_address=THERE)


async def test_a_known_address_of_another_account_does_not_help(world: World) -> None:
    await world.register("alice")
    await world.register("mallory")
    await log_in(world, "mallory", client_address=THERE)
    for number in range(BY_STRANGERS.most):
        await guess(world, address=f"198.51.100.{number}")
    assert (await guess(world)).reason == "TOO_MANY_GUESSES"


async def test_another_name_of_the_account_gives_no_more_guesses_and_does_not_tell_that_it_is_one(world: World) -> None:
    """P40. As far as an answer shows the name has guesses left, as one that nobody has would; the right password is none of them."""
    await world.register("alice", email="alice@example.org")
    assert await guesses(world, AT_ONE.most) == {"CREDENTIALS_WRONG"}
    for name in ("alice@example.org", "nobody@example.org"):
        right = await failure(log_in(world, name, client_address=THERE))
        assert (right.reason, right.retry_after_s) == ("CREDENTIALS_WRONG", None)
        assert await guesses(world, AT_ONE.most - 1, login=name) == {"CREDENTIALS_WRONG"}
        assert (await guess(world, name)).reason == "TOO_MANY_GUESSES"
    assert await log_in(world, "alice@example.org", client_address=HERE)
    world.clock.ms += AT_ONE.window_ms
    assert await log_in(world, "alice@example.org", client_address=THERE)


async def test_the_owner_is_never_told_a_right_password_is_wrong_where_the_owner_logged_in_before(world: World) -> None:
    await world.register("alice")
    await log_in(world, client_address=HERE)
    assert await guesses(world, AT_ONE.most, address=HERE) == {"CREDENTIALS_WRONG"}
    assert await log_in(world, "alice@example.org", client_address=HERE)


async def test_guesses_at_a_login_leave_none_for_changing_the_password_nor_the_other_way_round(world: World) -> None:
    alice = await world.register("alice")
    await guesses(world, AT_ONE.most)
    assert (await changing(world, owner(alice), PASSWORD)).reason == "TOO_MANY_GUESSES"
    world.clock.ms += AT_ONE.window_ms
    for _ in range(AT_ONE.most):
        await changing(world, owner(alice), "wrong")
    assert (await failure(log_in(world, client_address=THERE))).reason == "CREDENTIALS_WRONG"
    assert await log_in(world, client_address=HERE)


async def test_changing_the_password_is_no_way_around(world: World) -> None:
    caller = owner(await world.register("alice"))
    answers = [await changing(world, caller, "wrong") for _ in range(AT_ONE.most)]
    assert {answer.reason for answer in answers} == {"PASSWORD_WRONG"}
    assert (await changing(world, caller, PASSWORD)).reason == "TOO_MANY_GUESSES"


async def test_a_try_that_nobody_judged_is_not_counted(world: World) -> None:
    await world.register("alice")
    hashing = HeldHashing()
    world.change(passwords=passwords_by(hashing, waiting=0))
    held = asyncio.ensure_future(log_in(world, client_address=HERE))
    await hashing.begun.wait()
    assert await guesses(world, 5 * AT_ONE.most) == {"TOO_MANY_LOGINS"}
    hashing.go.set()
    assert await held
    assert await guesses(world, AT_ONE.most) == {"CREDENTIALS_WRONG"}


async def test_a_try_that_a_failure_of_the_database_ended_is_not_counted(world: World) -> None:
    class Away:
        """Logins of which one question is not answered."""

        def __init__(self, question: str) -> None:
            self._question = question

        def __getattr__(self, name: str) -> Any:
            if name == self._question:
                raise Unavailable("away")
            return getattr(world.logins, name)

    await world.register("alice")
    for question in ("knows_address", "password"):
        logins: Any = Away(question)
        counts, secret = LocalCounts(), Secret(b"g" * 32)
        world.change(logins=logins, guesses=Guesses(counts, logins, secret, world.clock))
        assert await guesses(world, 2 * AT_ONE.most) == {"DEPENDENCY_UNAVAILABLE"}
        world.change(logins=world.logins, guesses=Guesses(counts, world.logins, secret, world.clock))
        assert await guesses(world, AT_ONE.most) == {"CREDENTIALS_WRONG"}


async def test_counts_know_neither_names_nor_addresses(world: World) -> None:
    class Seen(LocalCounts):
        """Remembers what it was asked."""

        keys: set[str] = set()  # noqa: RUF012 - one test, one class

        async def take(self, key: str, limit: Limit, now_ms: int) -> int:
            self.keys.add(key)
            return await super().take(key, limit, now_ms)

    counts = Seen()
    world.change(guesses=Guesses(counts, world.logins, Secret(b"g" * 32), world.clock))
    await guess(world)
    assert len(counts.keys) == 4
    assert not any(part in key for key in counts.keys for part in ("alice", THERE, THERE.encode().hex()))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("", "unknown", True),
    ],
)
def test_an_address_is_what_one_subscriber_has(one: str, other: str, same: bool) -> None:
    assert (origin_of(one) == origin_of(other)) is same


async def test_a_caller_without_an_address_is_limited_by_name_alone(world: World) -> None:
    await world.register("alice")
    for number in range(FROM_ONE.most + 10):
        answer: Any = await failure(world.users.Login(LoginRequest(login=f"user{number}", password="wrong")))
        assert answer.reason == "CREDENTIALS_WRONG"
    assert await guesses(world, AT_ONE.most + 1, address="") == {"CREDENTIALS_WRONG", "TOO_MANY_GUESSES"}
