"""Accounts through the public port: what odd and hostile input is told, field by field, and what of it is no hindrance."""

import unicodedata
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from edge.bodies import MAX_BYTES
from svc_user.guesses import AT_ONE
from tests.unit.edge.oauth_world import OAuthWorld, oauth_world
from tests.unit.svc_user.world import PASSWORD

ALICE = {"username": "alice", "email": "alice@example.org", "password": PASSWORD}
COMPOSED = "한국어비밀번호 é"
KOREAN = COMPOSED * 12
"""A hundred characters and some; a keyboard that sends each letter in parts sends 240."""


@pytest_asyncio.fixture
async def world() -> AsyncIterator[OAuthWorld]:
    async with oauth_world() as world:
        yield world


async def register(world: OAuthWorld, **changed: Any) -> httpx.Response:
    return await world.api.post("/api/v1/auth/register", json={**ALICE, **changed})


async def log_in(world: OAuthWorld, login: str, password: str) -> httpx.Response:
    return await world.api.post("/api/v1/auth/login", json={"login": login, "password": password})


async def signed_in(world: OAuthWorld) -> dict[str, str]:
    """The header of somebody who has just registered."""
    return {"Authorization": f"Bearer {(await register(world)).json()['access_token']}"}


def refused(answer: httpx.Response) -> tuple[int, str, list[str]]:
    """Status, reason and the fields that are named; each with what is allowed."""
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert all(error["message"] for error in problem["errors"])
    return answer.status_code, problem["reason"], [error["field"] for error in problem["errors"]]


@pytest.mark.parametrize(
    "username",
    [
        "аlice",
        "ａｌｉｃｅ",
        "al\u200bice",
        "alice\n",
        "ali\x00ce",
        "alıce",
        "al-ice",
        "al ice",
        "al",
        "a" * 16,
        "",
        "алиса",
        "alice\u202e",
    ],
)
async def test_a_username_of_other_letters_than_those_of_a_username_is_refused(
    world: OAuthWorld, username: str
) -> None:
    """Homoglyphs of other alphabets do not get in at all."""
    assert refused(await register(world, username=username)) == (400, "INVALID_REQUEST", ["username"])


@pytest.mark.parametrize("username", ["adm1n", "a_d_m_i_n", "rnoderator", "R00T", "av1ary", "5ecurity"])
async def test_a_username_that_an_eye_takes_for_a_reserved_one_is_refused(world: OAuthWorld, username: str) -> None:
    assert refused(await register(world, username=username)) == (422, "USERNAME_RESERVED", ["username"])


@pytest.mark.parametrize(
    "email",
    [
        "o'brien+tag/x=y@sub.example.org",
        "a@xn--bcher-kva.example",
        "!#$%&*?^_`{|}~@example.org",
        "1@1.example",
        "a" * 64 + "@x.example",
    ],
)
async def test_an_odd_but_legal_email_address_is_taken_and_logs_in(world: OAuthWorld, email: str) -> None:
    answer = await register(world, email=email)
    assert (answer.status_code, answer.json()["user"]["email"]) == (201, email)
    assert (await log_in(world, email.upper(), PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    "email",
    ['"a b"@example.org', "ü@example.org", "a@bücher.example", "a@[192.0.2.1]", "a@localhost", "a@example.org.", "a@example.org\n",
     "a@example.org\x00", "a@b@example.org", "@example.org", "a@", "", "a@" + "x" * 252, "a@-x.example"],
)  # fmt: skip
async def test_an_email_address_that_cannot_be_written_to_from_here_is_refused(world: OAuthWorld, email: str) -> None:
    status, reason, fields = refused(await register(world, email=email))
    assert (status, reason, set(fields)) == (400, "INVALID_REQUEST", {"email"})


@pytest.mark.parametrize(
    ("password", "status", "reason"),
    [
        ("seven77", 400, "INVALID_REQUEST"),
        ("e\u0301" * 7, 400, "INVALID_REQUEST"),
        ("x" * 129, 400, "INVALID_REQUEST"),
        ("\U0001f600" * 129, 400, "INVALID_REQUEST"),
        ("x" * 2049, 400, "INVALID_REQUEST"),
        ("correct\x00horse", 400, "INVALID_REQUEST"),
        ("correct\nhorse", 400, "INVALID_REQUEST"),
        ("correct\u0085horse", 400, "INVALID_REQUEST"),
        ("iloveyou", 422, "PASSWORD_TOO_COMMON"),
        ("ILOVEYOU", 422, "PASSWORD_TOO_COMMON"),
    ],
)
async def test_a_password_that_is_no_good_is_refused_wherever_one_is_set(
    world: OAuthWorld, password: str, status: int, reason: str
) -> None:
    headers = await signed_in(world)
    body = {"current_password": PASSWORD, "new_password": password}
    changed = await world.api.post("/api/v1/auth/password", json=body, headers=headers)
    assert refused(changed) == (status, reason, ["new_password"])
    other = await register(world, username="bobby", email="bobby@example.org", password=password)
    assert refused(other) == (status, reason, ["password"])


@pytest.mark.parametrize(
    "password", ["x" * 128, "\U0001f600" * 128, "p" * 8, KOREAN, unicodedata.normalize("NFD", KOREAN)]
)
async def test_a_password_as_long_as_allowed_logs_in_in_either_form(world: OAuthWorld, password: str) -> None:
    assert (await register(world, password=password)).status_code == 201
    for form in ("NFC", "NFD"):
        assert (await log_in(world, "alice", unicodedata.normalize(form, password))).status_code == 200


@pytest.mark.parametrize("route", ["register", "login", "password"])
async def test_a_password_of_eight_megabytes_is_not_even_read(world: OAuthWorld, route: str) -> None:
    body = {**ALICE, "login": "alice", "current_password": "x", "new_password": "x", "password": "x" * 8_000_000}
    answer = await world.api.post(f"/api/v1/auth/{route}", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["reason"]) == (413, "BODY_TOO_LARGE")
    assert str(MAX_BYTES) in problem["detail"]


@pytest.mark.parametrize(("password", "status"), [("x\x00" * 8, 401), ("x" * 2048, 401), ("x" * 2049, 400), ("", 400)])
async def test_an_odd_password_at_the_login_is_wrong_or_too_long(world: OAuthWorld, password: str, status: int) -> None:
    await register(world)
    answer = await log_in(world, "alice", password)
    assert answer.status_code == status
    assert status == 401 or refused(answer) == (400, "INVALID_REQUEST", ["password"])


async def test_what_is_taken_and_what_is_wrong_names_its_field(world: OAuthWorld) -> None:
    headers = await signed_in(world)
    assert refused(await register(world, email="other@example.org")) == (409, "USERNAME_TAKEN", ["username"])
    assert refused(await register(world, username="ALICE")) == (409, "USERNAME_TAKEN", ["username"])
    assert refused(await register(world, username="bobby", email="Alice@Example.org")) == (
        409,
        "EMAIL_TAKEN",
        ["email"],
    )
    await register(world, username="bobby", email="bobby@example.org")
    wanted: list[tuple[dict[str, str], tuple[int, str, list[str]]]] = [
        ({"username": "bobby"}, (409, "USERNAME_TAKEN", ["username"])),
        ({"email": "bobby@example.org", "current_password": PASSWORD}, (409, "EMAIL_TAKEN", ["email"])),
        ({"email": "new@example.org", "current_password": "wrong"}, (403, "PASSWORD_WRONG", ["current_password"])),
        ({"email": "new@example.org"}, (400, "INVALID_REQUEST", ["current_password"])),
    ]
    for body, answer in wanted:
        assert refused(await world.api.patch("/api/v1/users/me", json=body, headers=headers)) == answer
    body = {"current_password": "wrong", "new_password": "another battery"}
    changed = await world.api.post("/api/v1/auth/password", json=body, headers=headers)
    assert refused(changed) == (403, "PASSWORD_WRONG", ["current_password"])


async def test_a_fourth_rename_names_the_field_and_says_when_it_may_be_tried_again(world: OAuthWorld) -> None:
    headers = await signed_in(world)
    for name in ("one_1", "two_2", "three_3"):
        assert (await world.api.patch("/api/v1/users/me", json={"username": name}, headers=headers)).status_code == 200
    answer = await world.api.patch("/api/v1/users/me", json={"username": "four_4"}, headers=headers)
    assert refused(answer) == (429, "RENAME_LIMIT_REACHED", ["username"])
    assert answer.headers["retry-after"] == str(30 * 24 * 3600)


async def test_a_wrong_login_names_neither_half_and_the_eleventh_says_how_long_to_wait(world: OAuthWorld) -> None:
    await register(world)
    for _ in range(AT_ONE.most):
        answer = await log_in(world, "alice", "wrong")
        assert (answer.status_code, "errors" in answer.json()) == (401, False)
    answer = await log_in(world, "alice", PASSWORD)
    assert (answer.status_code, answer.json()["reason"]) == (429, "TOO_MANY_GUESSES")
    assert int(answer.headers["retry-after"]) == AT_ONE.window_ms // AT_ONE.most // 1000


@pytest.mark.parametrize(
    "body",
    [
        b'{"login": "alice", "password": "wrong", "password": "correct horse battery"}',
        b'{"login": "alice", "login": "bobby", "password": "correct horse battery"}',
        b'{"login": "alice", "\\u006cogin": "bobby", "password": "correct horse battery"}',
    ],
)
async def test_a_field_that_is_given_twice_is_refused_not_chosen_from(world: OAuthWorld, body: bytes) -> None:
    await register(world)
    headers = {"Content-Type": "application/json"}
    answer = await world.api.post("/api/v1/auth/login", content=body, headers=headers)
    assert refused(answer)[:2] == (400, "INVALID_REQUEST")
    assert "only once" in answer.json()["errors"][0]["message"]


async def test_what_holds_tokens_is_kept_by_no_cache(world: OAuthWorld) -> None:
    registered = await register(world)
    refresh = {"refresh_token": registered.json()["refresh_token"]}
    answers = [
        registered,
        await log_in(world, "alice", PASSWORD),
        await world.api.post("/api/v1/auth/refresh", json=refresh),
    ]
    for answer in answers:
        assert answer.status_code in (200, 201)
        assert answer.headers["cache-control"] == "no-store"
