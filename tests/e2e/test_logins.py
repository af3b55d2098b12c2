"""Logins through the edge: their list, their end, another password, and guessing; with open streams, and with nonsense."""

import asyncio
import time
import uuid
from typing import Any

import httpx
import pytest

from tests.e2e.aviary import API, Aviary, Person, until_async

NEW = "another horse battery"
ENDED_WITHIN_S = 5.0


async def log_in(person: Person, password: str = "", **options: Any) -> Person:
    """The same person, logged in once more."""
    body = {"login": person.username, "password": password or person.password}
    answer = await person.client.post(f"{API}/auth/login", json=body, **options)
    assert answer.status_code == 200, answer.text
    return Person(person.client, answer.json(), person.password)


async def is_out(person: Person, since: float) -> None:
    """Promise 10: an access token is refused at the latest 5 s after its login ended; the refresh token at once."""
    refused = await person.client.post(f"{API}/auth/refresh", json={"refresh_token": person.refresh_token})
    assert (refused.status_code, refused.json()["reason"]) == (401, "REFRESH_TOKEN_INVALID")

    async def refused_too() -> bool:
        answer = await person.request("GET", "/users/me")
        return answer.status_code == 401 and answer.json()["reason"] == "TOKEN_INVALID"

    await until_async(refused_too, "the access token is let in")
    assert time.monotonic() < since + ENDED_WITHIN_S


async def test_logins_are_listed_latest_used_first_page_by_page(aviary: Aviary) -> None:
    async with aviary.person() as alice:
        others = [await log_in(alice, headers={"User-Agent": f"Wren/{n}"}) for n in range(3)]
        first = await others[2].ok("GET", "/auth/sessions", params={"limit": 3})
        rest = await others[2].ok("GET", "/auth/sessions", params={"limit": 3, "cursor": first["next_cursor"]})
        listed = first["sessions"] + rest["sessions"]
        assert (first["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
        assert [session["client"] for session in listed[:3]] == ["Wren/2", "Wren/1", "Wren/0"]
        assert [session["current"] for session in listed] == [True, False, False, False]
        assert {session["ip"] for session in listed} == {"127.0.0.1"}
        assert set(listed[0]) == {"session_id", "client", "ip", "created_at", "last_seen_at", "current", "client_id"}


async def test_an_ended_login_is_out_and_so_is_its_open_stream(aviary: Aviary) -> None:
    """P42, promise 10."""
    async with aviary.person() as alice:
        other = await log_in(alice)
        async with other.stream() as stream:
            (session,) = [s for s in (await alice.ok("GET", "/auth/sessions"))["sessions"] if not s["current"]]
            began = time.monotonic()
            answer = await alice.request("DELETE", f"/auth/sessions/{session['session_id']}")
            assert (answer.status_code, answer.content) == (204, b"")
            await stream.next("revoked")
            await asyncio.wait_for(stream.socket.wait_closed(), ENDED_WITHIN_S)
            await is_out(other, began)
        again = await alice.request("DELETE", f"/auth/sessions/{session['session_id']}")
        assert (again.status_code, again.json()["reason"]) == (404, "SESSION_NOT_FOUND")
        assert [s["current"] for s in (await alice.ok("GET", "/auth/sessions"))["sessions"]] == [True]


async def test_a_logout_ends_the_own_access_token_too(aviary: Aviary) -> None:
    async with aviary.person() as alice:
        other = await log_in(alice)
        await other.ok("GET", "/users/me")
        began = time.monotonic()
        assert (await other.request("POST", "/auth/logout")).status_code == 204
        await is_out(other, began)
        await alice.ok("GET", "/users/me")


async def test_another_password_ends_all_other_logins(aviary: Aviary) -> None:
    """P42, promise 10."""
    async with aviary.person() as alice:
        other = await log_in(alice)
        async with other.stream() as stream:
            began = time.monotonic()
            body = {"current_password": alice.password, "new_password": NEW}
            assert (await alice.request("POST", "/auth/password", json=body)).status_code == 204
            await stream.next("revoked")
            await is_out(other, began)
        await alice.ok("GET", "/users/me")
        assert (await log_in(alice, NEW)).user_id == alice.user_id
        old = {"login": alice.username, "password": alice.password}
        refused = await alice.client.post(f"{API}/auth/login", json=old)
        assert (refused.status_code, refused.json()["reason"]) == (401, "CREDENTIALS_WRONG")


BAD: list[tuple[str, str, dict[str, Any], int, str, str | None]] = [
    ("DELETE", "/auth/sessions/x", {}, 400, "INVALID_REQUEST", "session_id"),
    ("DELETE", "/auth/sessions/%00", {}, 400, "INVALID_REQUEST", "session_id"),
    ("DELETE", "/auth/sessions/0197b3b0-0000-7000-8000-000000000000", {}, 404, "SESSION_NOT_FOUND", None),
    ("GET", "/auth/sessions", {"params": {"limit": 0}}, 400, "INVALID_REQUEST", "limit"),
    ("GET", "/auth/sessions", {"params": {"limit": 101}}, 400, "INVALID_REQUEST", "limit"),
    ("GET", "/auth/sessions", {"params": {"cursor": "x"}}, 400, "INVALID_CURSOR", "cursor"),
    ("GET", "/auth/sessions", {"params": {"user_id": "x"}}, 400, "INVALID_REQUEST", "user_id"),
    ("POST", "/auth/sessions", {}, 405, "METHOD_NOT_ALLOWED", None),
    ("POST", "/auth/password", {"json": {}}, 400, "INVALID_REQUEST", "current_password"),
    ("POST", "/auth/password", {"json": {"current_password": 7, "new_password": NEW}}, 400, "INVALID_REQUEST", None),
    ("POST", "/auth/password", {"json": {"current_password": "x", "new_password": "short"}}, 400, "INVALID_REQUEST",
     "new_password"),
    ("POST", "/auth/password", {"json": {"current_password": "x", "new_password": "Password123"}}, 422,
     "PASSWORD_TOO_COMMON", "new_password"),
    ("POST", "/auth/password", {"json": {"current_password": "x", "new_password": NEW, "user_id": "x"}}, 400,
     "INVALID_REQUEST", "user_id"),
    ("POST", "/auth/password", {"json": {"current_password": "x" * 8_000_000, "new_password": NEW}}, 413,
     "BODY_TOO_LARGE", None),
    ("POST", "/auth/password", {"json": {"current_password": "not this one", "new_password": NEW}}, 403,
     "PASSWORD_WRONG", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "options", "status", "reason", "field"), BAD)
async def test_nonsense_is_refused_and_ends_nothing(
    aviary: Aviary, method: str, path: str, options: dict[str, Any], status: int, reason: str, field: str | None
) -> None:
    async with aviary.person() as alice:
        answer = await alice.request(method, path, **options)
        problem = answer.json()
        assert (answer.status_code, problem["reason"]) == (status, reason), answer.text
        assert field is None or field in [error["field"] for error in problem["errors"]]
        assert len((await alice.ok("GET", "/auth/sessions"))["sessions"]) == 1
        await log_in(alice)


async def test_a_login_of_somebody_else_is_not_found(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        (session,) = (await alice.ok("GET", "/auth/sessions"))["sessions"]
        answer = await bob.request("DELETE", f"/auth/sessions/{session['session_id']}")
        assert (answer.status_code, answer.json()["reason"]) == (404, "SESSION_NOT_FOUND")
        await alice.ok("GET", "/users/me")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/auth/sessions"), ("POST", "/auth/password"), ("POST", "/auth/logout")]
)
async def test_nobody_has_no_logins(aviary: Aviary, method: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=aviary.url, timeout=30) as client:
        answer = await client.request(method, API + path, json={} if method == "POST" else None)
    assert (answer.status_code, answer.json()["reason"]) == (401, "TOKEN_MISSING")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_guessing_is_slowed_down_whether_the_account_exists_or_not(aviary: Aviary) -> None:
    async with aviary.person() as alice:
        for name in (alice.username, f"nobody{uuid.uuid4().hex[:8]}"):
            answers = [
                await alice.client.post(f"{API}/auth/login", json={"login": name, "password": "a wrong one"})
                for _ in range(11)
            ]
            reasons = [(answer.status_code, answer.json()["reason"]) for answer in answers]
            assert reasons == [(401, "CREDENTIALS_WRONG")] * 10 + [(429, "TOO_MANY_GUESSES")]
            assert 1 <= int(answers[-1].headers["retry-after"]) <= 90
        # Who is in stays in.
        await alice.ok("GET", "/users/me")
