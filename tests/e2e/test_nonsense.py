"""Bad input through the edge: api.md's statuses, and the field is named."""

import uuid
from typing import Any

import pytest

from tests.e2e.aviary import API, Aviary

ZERO = "00000000-0000-7000-8000-000000000000"

BAD = [
    ("POST", "/tweets", {"content": b"{"}, 400, "INVALID_REQUEST", None),
    ("POST", "/tweets", {"json": []}, 400, "INVALID_REQUEST", None),
    ("POST", "/tweets", {"json": {"content": 7}}, 400, "INVALID_REQUEST", "content"),
    ("POST", "/tweets", {"json": {"content": "x", "colour": "red"}}, 400, "INVALID_REQUEST", "colour"),
    ("POST", "/tweets", {"json": {"content": "x" * 281}}, 422, "TWEET_TOO_LONG", "content"),
    ("POST", "/tweets", {"json": {"content": " \u200b "}}, 422, "TWEET_EMPTY", "content"),
    ("POST", "/tweets", {"json": {"content": "x" * 5000}}, 400, "INVALID_REQUEST", "content"),
    ("POST", "/tweets", {"json": {"content": "x", "user_id": ZERO}}, 403, "NOT_YOUR_USER_ID", "user_id"),
    ("POST", "/auth/logout", {"json": {"refresh_token": "x"}}, 400, "INVALID_REQUEST", "refresh_token"),
    ("GET", "/tweets/not-an-id", {}, 400, "INVALID_REQUEST", "tweet_id"),
    ("GET", f"/tweets/{ZERO}", {}, 404, "TWEET_NOT_FOUND", None),
    ("DELETE", f"/tweets/{ZERO}", {}, 404, "TWEET_NOT_FOUND", None),
    ("GET", "/timeline/home?limit=201", {}, 400, "INVALID_REQUEST", "limit"),
    ("GET", "/timeline/home?limit=many", {}, 400, "INVALID_REQUEST", "limit"),
    ("GET", "/timeline/home?page=2", {}, 400, "INVALID_REQUEST", "page"),
    ("GET", "/timeline/home?order=best", {}, 400, "INVALID_REQUEST", "order"),
    ("GET", "/timeline/home?max_id=7", {}, 400, "INVALID_REQUEST", "max_id"),
    ("GET", f"/timeline/home?user_id={ZERO}", {}, 403, "NOT_YOUR_USER_ID", "user_id"),
    ("GET", f"/timeline/user/{ZERO}", {}, 404, "USER_NOT_FOUND", None),
    ("GET", f"/users/{ZERO}", {}, 404, "USER_NOT_FOUND", None),
    ("GET", "/users/by/username/no-such-name", {}, 400, "INVALID_REQUEST", "username"),
    ("GET", f"/users/{ZERO}/followers?cursor=AAAA", {}, 404, "USER_NOT_FOUND", None),
    ("POST", f"/users/{ZERO}/follow", {}, 404, "FOLLOWEE_NOT_FOUND", None),
    ("GET", "/nowhere", {}, 404, "ROUTE_NOT_FOUND", None),
    ("PUT", "/tweets", {"json": {}}, 405, "METHOD_NOT_ALLOWED", None),
    ("POST", "/tweets", {"content": b"x" * 70_000}, 413, "BODY_TOO_LARGE", None),
    (
        "POST",
        "/tweets",
        {"content": b"hi", "headers": {"Content-Type": "text/plain"}},
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        None,
    ),
]


@pytest.mark.parametrize(("method", "path", "options", "status", "reason", "field"), BAD)
async def test_bad_input_is_refused_and_the_field_is_named(
    aviary: Aviary, method: str, path: str, options: dict[str, Any], status: int, reason: str, field: str | None
) -> None:
    async with aviary.person() as alice:
        options = dict(options)
        if isinstance(options.get("content"), bytes):
            options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
        answer = await alice.request(method, path, **options)
        problem = answer.json()
        assert (answer.status_code, problem["reason"]) == (status, reason), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["request_id"] == answer.headers["x-request-id"]
        assert {"type", "title", "status", "detail"} <= problem.keys()
        if field is not None:
            assert field in [error["field"] for error in problem["errors"]]


async def test_following_oneself_is_refused(aviary: Aviary) -> None:
    async with aviary.person() as alice:
        answer = await alice.request("POST", f"/users/{alice.user_id}/follow")
        assert (answer.status_code, answer.json()["reason"]) == (422, "CANNOT_FOLLOW_SELF")


async def test_anothers_tweet_cannot_be_deleted(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        tweet = await alice.post("mine")
        answer = await bob.request("DELETE", f"/tweets/{tweet}")
        assert (answer.status_code, answer.json()["reason"]) == (403, "NOT_YOUR_TWEET")
        assert await alice.timeline(alice) == [tweet]


@pytest.mark.parametrize("token", [None, "nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "a.b.c"])
async def test_no_or_a_forged_token_is_401_with_a_challenge(aviary: Aviary, token: str | None) -> None:
    async with aviary.person() as alice:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = await alice.client.get(f"{API}/timeline/home", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_name_or_an_address_that_is_taken_is_409(aviary: Aviary) -> None:
    async with aviary.person() as alice:
        fresh = uuid.uuid4().hex[:10]
        for name, email, reason in (
            (alice.username.upper(), f"{fresh}@aviary.example", "USERNAME_TAKEN"),
            (fresh, f"{alice.username}@AVIARY.example", "EMAIL_TAKEN"),
        ):
            body = {"username": name, "email": email, "password": "long enough 7"}
            answer = await alice.client.post(f"{API}/auth/register", json=body)
            assert (answer.status_code, answer.json()["reason"]) == (409, reason)


async def test_a_forged_or_foreign_cursor_is_400(aviary: Aviary) -> None:
    """P34."""
    async with aviary.people(4) as (alice, bob, carol, dave):
        for other in (bob, carol):
            await other.follow(alice)
            await other.follow(dave)
        page = await alice.ok("GET", f"/users/{alice.user_id}/followers", params={"limit": 1})
        cursor = page["next_cursor"]
        for reader, path, used in (
            (alice, f"/users/{alice.user_id}/followers", cursor[:-4] + "AAAA"),
            (alice, f"/users/{alice.user_id}/following", cursor),
            (alice, f"/users/{dave.user_id}/followers", cursor),
            (bob, f"/users/{alice.user_id}/followers", cursor),
        ):
            answer = await reader.request("GET", path, params={"cursor": used})
            assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_CURSOR"), path
