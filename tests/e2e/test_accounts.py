"""Accounts through the edge: what their owners change and nonsense they send, what `aviary admin` does, and what no log may hold."""

import argparse
import re
import subprocess
import sys
import time
import uuid
from typing import Any

import httpx
import pytest
from grpc import aio

from ops.admin import command
from stack.errors import StackError
from tests.e2e.aviary import API, Aviary, until_async

PASSWORD = "correct horse battery"
SUSPENDED_WITHIN_S = 5.0
"""Promise 10."""

BAD: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"json": {"colour": "red"}}, 400, "INVALID_REQUEST", "colour"),
    ({"json": {"role": "admin"}}, 400, "INVALID_REQUEST", "role"),
    ({"json": {"display_name": ""}}, 400, "INVALID_REQUEST", "display_name"),
    ({"json": {"display_name": "x" * 51}}, 400, "INVALID_REQUEST", "display_name"),
    ({"json": {"display_name": "two\nlines"}}, 400, "INVALID_REQUEST", "display_name"),
    ({"json": {"display_name": 7}}, 400, "INVALID_REQUEST", "display_name"),
    ({"json": {"bio": "x" * 161}}, 400, "INVALID_REQUEST", "bio"),
    ({"json": {"username": "al"}}, 400, "INVALID_REQUEST", "username"),
    ({"json": {"username": "аdmin_"}}, 400, "INVALID_REQUEST", "username"),
    ({"json": {"username": "adm1n"}}, 422, "USERNAME_RESERVED", "username"),
    ({"json": {"username": "a_p_i"}}, 422, "USERNAME_RESERVED", "username"),
    ({"json": {"email": "new@aviary.example"}}, 400, "INVALID_REQUEST", "current_password"),
    ({"json": {"email": "nowhere", "current_password": "x"}}, 400, "INVALID_REQUEST", "email"),
    (
        {"json": {"email": "new@aviary.example", "current_password": "another"}},
        403,
        "PASSWORD_WRONG",
        "current_password",
    ),
    (
        {"json": {"email": "new@aviary.example", "current_password": "x" * 2049}},
        400,
        "INVALID_REQUEST",
        "current_password",
    ),
    ({"json": {"current_password": "x" * 8_000_000}}, 413, "BODY_TOO_LARGE", None),
    ({"json": {"bio": "x", "client_address": "127.0.0.1"}}, 400, "INVALID_REQUEST", "client_address"),
    ({"content": b"[]"}, 400, "INVALID_REQUEST", None),
]


@pytest.mark.parametrize(("options", "status", "reason", "field"), BAD)
async def test_nonsense_is_refused_and_changes_nothing(
    aviary: Aviary, options: dict[str, Any], status: int, reason: str, field: str | None
) -> None:
    async with aviary.person() as alice:
        before = await alice.ok("GET", "/users/me")
        answer = await alice.request("PATCH", "/users/me", headers={"Content-Type": "application/json"}, **options)
        problem = answer.json()
        assert (answer.status_code, problem["reason"]) == (status, reason), answer.text
        assert field is None or field in [error["field"] for error in problem["errors"]]
        assert await alice.ok("GET", "/users/me") == before


async def test_a_profile_is_changed_and_shown_at_once_wherever_the_account_is_shown(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        tweet = await alice.post("hello")
        await bob.follow(alice)

        async def counted() -> bool:
            return bool((await alice.ok("GET", "/users/me"))["followers_count"] == 1)

        await until_async(counted, "the follow is not counted")
        # So that every cache has the account as it was.
        for person in (alice, bob):
            await person.ok("GET", f"/tweets/{tweet}")
        changed = await alice.ok("PATCH", "/users/me", json={"display_name": "Alice Ä", "bio": "two\nlines"})
        assert (changed["display_name"], changed["bio"], changed["tweets_count"]) == ("Alice Ä", "two\nlines", 1)
        assert changed["updated_at"] > changed["created_at"]
        assert await alice.ok("GET", "/users/me") == changed
        assert (await alice.ok("GET", f"/users/{alice.user_id}"))["display_name"] == "Alice Ä"
        assert (await alice.ok("GET", f"/tweets/{tweet}"))["user"]["display_name"] == "Alice Ä"

        async def told() -> bool:
            return bool((await bob.ok("GET", f"/tweets/{tweet}"))["user"]["display_name"] == "Alice Ä")

        await until_async(told, "bob still sees the old name")


async def test_another_username_is_ones_own_at_once_and_the_old_one_nobodys_for_a_while(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        old, new = alice.username, f"N{uuid.uuid4().hex[:10]}"
        assert (await alice.ok("PATCH", "/users/me", json={"username": new}))["username"] == new
        assert (await alice.ok("GET", f"/users/by/username/{new.lower()}"))["user_id"] == alice.user_id
        assert (await bob.request("GET", f"/users/by/username/{old}")).status_code == 404
        taken = await bob.request("PATCH", "/users/me", json={"username": old})
        assert (taken.status_code, taken.json()["reason"]) == (409, "USERNAME_TAKEN")
        for login, status in ((new, 200), (old, 401)):
            body = {"login": login, "password": alice.password}
            assert (await alice.client.post(f"{API}/auth/login", json=body)).status_code == status
        assert (await alice.ok("PATCH", "/users/me", json={"username": old}))["username"] == old


@pytest.mark.parametrize("local", ["o'brien+tag/x=y", "!#$%&*?^_`{|}~", "a.b-c_d"])
async def test_an_odd_but_legal_email_address_is_taken_and_logs_in(aviary: Aviary, local: str) -> None:
    async with aviary.person() as alice:
        email = f"{local}{uuid.uuid4().hex[:8]}@Sub.Aviary.example"
        body = {"email": email, "current_password": alice.password}
        assert (await alice.ok("PATCH", "/users/me", json=body))["email"] == email
        login = {"login": email.upper(), "password": alice.password}
        assert (await alice.client.post(f"{API}/auth/login", json=login)).status_code == 200


async def test_an_admin_is_made_once_and_the_role_is_nobody_elses(
    aviary: Aviary, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = piped_to_the_command(aviary, f"{PASSWORD}\n", "create", "admin", "--email", "root@aviary.example")
    assert (made.returncode, "made" in made.stdout) == (0, True), made
    monkeypatch.setenv(command.PASSWORD, PASSWORD)
    assert "was there" in await admin(aviary, "create", "admin", "--email", "root@aviary.example")
    monkeypatch.setenv(command.PASSWORD, "another password")
    with pytest.raises(aio.AioRpcError) as raised:
        await admin(aviary, "create", "admin", "--email", "root@aviary.example")
    assert "somebody else has the username" in command.explained(raised.value)
    async with aviary.person() as alice:
        login = {"login": "admin", "password": PASSWORD}
        assert (await alice.client.post(f"{API}/auth/login", json=login)).json()["user"]["role"] == "admin"


async def test_what_is_set_by_username_or_id_is_seen_by_others_and_by_the_owner(aviary: Aviary) -> None:
    with pytest.raises(StackError, match="nobody is called"):
        await admin(aviary, "suspend", "nobody_here")
    async with aviary.people(2) as (alice, bob):
        await alice.ok("PATCH", "/users/me", json={"bio": "hello"})

        async def seen_as(status: str, bio: str) -> bool:
            user = await bob.ok("GET", f"/users/{alice.user_id}")
            return (user["status"], user["bio"]) == (status, bio)

        began = time.monotonic()
        assert "SUSPENDED" in await admin(aviary, "suspend", f"@{alice.username}")
        await until_async(lambda: seen_as("SUSPENDED", ""), "the account is not seen as suspended")

        async def refused() -> bool:
            answer = await alice.request("PATCH", "/users/me", json={"bio": "hello"})
            return answer.status_code == 403 and answer.json()["reason"] == "ACCOUNT_SUSPENDED"

        await until_async(refused, "a suspended account is let in")
        assert time.monotonic() < began + SUSPENDED_WITHIN_S
        assert "ACTIVE" in await admin(aviary, "reinstate", alice.user_id)
        await until_async(lambda: seen_as("ACTIVE", "hello"), "the account is not seen as reinstated")
        for action, flags in (("limit", "limited"), ("verify", "limited, verified"), ("unlimit", "verified")):
            assert (await admin(aviary, action, alice.username)).endswith(f"ACTIVE, {flags}")
        assert (await admin(aviary, "unverify", alice.username)).endswith("ACTIVE")


async def test_logs_and_metrics_of_all_this_name_nobody(aviary: Aviary) -> None:
    """Whatever an account has of its own is written by a client and looked for in everything that every process wrote of it."""
    async with aviary.person() as alice:
        secrets = [f"{word}{uuid.uuid4().hex[:8]}" for word in ("N", "display", "bio", "mail", "wrong")]
        username, display_name, bio, mail, wrong = secrets
        given = {"username": username, "display_name": display_name, "bio": bio}
        await alice.ok(
            "PATCH", "/users/me", json={**given, "email": f"{mail}@aviary.example", "current_password": alice.password}
        )
        for login in (username, f"{mail}@aviary.example"):
            for password in (alice.password, wrong):
                await alice.client.post(f"{API}/auth/login", json={"login": login, "password": password})
        await alice.request("PATCH", "/users/me", json={"email": f"{mail}2@aviary.example", "current_password": wrong})
        await alice.client.post(
            f"{API}/auth/register", json={"username": username, "email": "x@y.example", "password": wrong}
        )
        await alice.ok("GET", f"/users/{alice.user_id}")
        await aviary.settle()
        written = everything_logged(aviary) + await everything_measured(aviary)
        assert all(word in written for word in ("serving", "aviary_mesh_rpc_seconds", "UpdateAccount")), (
            "it looks at nothing"
        )
        found = [secret for secret in (*secrets, alice.password, alice.token, alice.refresh_token) if secret in written]
        assert not found


def piped_to_the_command(aviary: Aviary, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `aviary admin` as a person does, with something to read."""
    line = [sys.executable, "-m", "ops.cli", "admin", *words]
    return subprocess.run(line, env=aviary.environment, input=text, capture_output=True, text=True, check=False)


async def admin(aviary: Aviary, *words: str) -> str:
    """What `aviary admin` does and says."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args(words)
    work = command.create if arguments.action == "create" else command.set_state
    return await work(arguments, aviary.running.environment())


def everything_logged(aviary: Aviary) -> str:
    """What our own processes wrote."""
    logs = [path for path in (aviary.home / "logs").iterdir() if re.match(r"svc_|edge|supervisor", path.name)]
    assert len(logs) >= 6
    return "\n".join(path.read_text(errors="replace") for path in logs)


async def everything_measured(aviary: Aviary) -> str:
    """The metrics of every process of ours."""
    ports = [record.ports["metrics"] for record in aviary.running.processes if "metrics" in record.ports]
    async with httpx.AsyncClient() as client:
        return "\n".join([(await client.get(f"http://127.0.0.1:{port}/metrics")).text for port in ports])
