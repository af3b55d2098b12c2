"""The public port answers as api.md says: sense with JSON, nonsense with a problem that names what is wrong."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2

from tests.integration.edge_world import (
    ALICE,
    BOB,
    FAILURES,
    ORIGIN,
    TWEET,
    World,
    as_alice,
    edge_world,
    remote_tweets,
    token,
)
from tests.unit.edge.logins import KEY
from tests.unit.edge.tokens import claims, forgeries
from tests.waiting import until

# Longer than any call may take; nothing here is timed more closely.
BOUND_S = 10
FORGERIES = forgeries(KEY, claims())
EVERYWHERE = [
    ("GET", f"/api/v1/tweets/{TWEET}"),
    ("GET", "/api/v1/timeline/home"),
    ("GET", "/api/v1/users/me"),
    ("POST", "/api/v1/tweets"),
    ("DELETE", f"/api/v1/tweets/{TWEET}"),
    ("POST", "/api/v1/auth/logout"),
]
LOGIN = {"login": "alice", "password": "correct horse"}


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    async with edge_world() as running:
        yield running


def problem(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The problem document of an answer, which has all that every problem has."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["reason"]) == (status, reason), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail"} <= document.keys()
    assert "Traceback" not in answer.text
    return document


def fields(document: dict[str, Any]) -> list[str]:
    return [error["field"] for error in document["errors"]]


async def post(world: World, body: bytes | Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await world.client.post(
        "/api/v1/tweets", content=content, headers=as_alice(**{"Content-Type": "application/json", **headers})
    )


class TestSense:
    async def test_a_created_tweet_is_201_with_every_field_present(self, world: World) -> None:
        answer = await post(world, {"content": "hi"})
        assert answer.status_code == 201
        document = answer.json()
        assert document["created_at"] == "2023-11-14T22:13:20.123Z"
        assert document["likes_count"] == 2**60
        assert document["entities"] is None
        assert document["hashtags"] == []

    async def test_ids_are_strings(self, world: World) -> None:
        """P35."""
        tweet = (await world.client.get(f"/api/v1/tweets/{TWEET}")).json()
        assert tweet["tweet_id"] == str(TWEET)
        assert tweet["user"]["user_id"] == str(BOB)
        assert tweet["tweet_type"] == "TWEET"
        assert tweet["user"]["profile_image_url"] is None

    async def test_the_callers_scopes_and_login_travel_on(self, world: World) -> None:
        await world.client.get("/api/v1/users/me", headers=as_alice())
        caller = world.fakes.callers[-1]
        assert caller.user_id == ALICE.bytes
        assert caller.scopes == ("read", "write", "follow", "notifications", "account")
        assert len(caller.session_id) == 16
        assert caller.service == ""

    async def test_a_static_segment_wins_over_a_variable(self, world: World) -> None:
        assert (await world.client.get("/api/v1/users/me", headers=as_alice())).json()["email"] == "a@example.org"
        assert (await world.client.get(f"/api/v1/users/{BOB}")).json()["user_id"] == str(BOB)

    async def test_a_list_parameter_is_split_on_commas_and_may_be_repeated(self, world: World) -> None:
        await world.client.get("/api/v1/tweets?ids=a,b&ids=c")
        assert list(world.last.ids) == ["a", "b", "c"]

    async def test_the_header_idempotency_key_fills_its_field(self, world: World) -> None:
        await post(world, {"content": "hi"}, **{"Idempotency-Key": "k 1"})
        assert world.last.idempotency_key == "k 1"

    @pytest.mark.parametrize("key", ["k 1", "", "k" * 65, "\u00fc"])
    async def test_a_post_that_sets_a_state_needs_no_idempotency_key_and_refuses_none(
        self, world: World, key: str
    ) -> None:
        headers = {name.encode(): value.encode() for name, value in as_alice().items()}
        headers[b"Idempotency-Key"] = key.encode("latin-1")
        for _ in range(2):
            answer = await world.client.post(f"/api/v1/users/{BOB}/follow", headers=headers)
            assert (answer.status_code, answer.json()["following"]) == (200, True)

    async def test_an_empty_body_is_an_empty_object(self, world: World) -> None:
        answer = await world.client.post(f"/api/v1/users/{BOB}/follow", headers=as_alice())
        assert (answer.status_code, answer.json()["following"]) == (200, True)

    async def test_the_callers_own_id_is_taken_from_body_and_query(self, world: World) -> None:
        for kwargs in ({"json": {"follower_id": str(ALICE)}}, {"params": {"follower_id": str(ALICE)}}):
            path = f"/api/v1/users/{BOB}/follow"
            for method in ("POST", "DELETE"):
                answer = await world.client.request(method, path, headers=as_alice(), **kwargs)
                assert answer.status_code == 200, answer.text
                assert world.last.follower_id == str(ALICE)

    async def test_the_next_page_is_linked(self, world: World) -> None:
        answer = await world.client.get("/api/v1/timeline/home?limit=5", headers=as_alice())
        link = answer.links["next"]["url"]
        assert link == f"/api/v1/timeline/home?limit=5&max_id={TWEET}"
        last = await world.client.get(link, headers=as_alice())
        assert "link" not in last.headers
        assert last.json() == {"tweets": [], "next_max_id": None, "has_more": False}

    async def test_a_linked_cursor_arrives_as_it_was(self, world: World) -> None:
        first = await world.client.get(f"/api/v1/users/{BOB}/followers?cursor=old&limit=3")
        await world.client.get(first.links["next"]["url"])
        assert (world.last.cursor, world.last.limit) == ("a+b/c=", 3)

    async def test_what_was_away_stands_in_a_header_and_not_in_the_body(self, world: World) -> None:
        answer = await world.client.get("/api/v1/bookmarks", headers=as_alice(Origin=ORIGIN))
        assert answer.headers["x-aviary-degraded"] == "engagement"
        assert "X-Aviary-Degraded" in answer.headers["access-control-expose-headers"]
        assert set(answer.json()) == {"tweets", "next_cursor", "has_more"}
        assert [(t["likes_count"], t["liked"]) for t in answer.json()["tweets"]] == [(0, False), (7, True)]
        assert "x-aviary-degraded" not in (await world.client.get("/api/v1/timeline/home", headers=as_alice())).headers

    async def test_a_like_needs_no_body_and_may_name_the_caller(self, world: World) -> None:
        path = f"/api/v1/tweets/{TWEET}/like"
        liked = await world.client.post(path, headers=as_alice())
        assert (liked.status_code, liked.json()) == (200, {"tweet_id": str(TWEET), "liked": True, "likes_count": 1})
        unliked = await world.client.request("DELETE", path, headers=as_alice(), json={"user_id": str(ALICE)})
        assert unliked.json() == {"tweet_id": str(TWEET), "liked": False, "likes_count": 0}
        foreign = await world.client.post(path, headers=as_alice(), json={"user_id": str(BOB)})
        assert foreign.json()["reason"] == "NOT_YOUR_USER_ID"
        assert (await world.client.post(path)).status_code == 401

    async def test_defaults_of_the_contract_apply(self, world: World) -> None:
        await world.client.get("/api/v1/timeline/home", headers=as_alice())
        assert world.last.limit == 200

    async def test_a_login_tells_which_program_it_is_and_from_where(self, world: World) -> None:
        await world.client.post("/api/v1/auth/login", json=LOGIN, headers={"User-Agent": "Kestrel/2"})
        assert (world.last.client, world.last.client_address) == ("Kestrel/2", "127.0.0.1")

    @pytest.mark.parametrize(("agent", "told"), [("", ""), ("x" * 9000, "x" * 256)])
    async def test_whatever_a_program_calls_itself_does_not_refuse_a_login(
        self, world: World, agent: str, told: str
    ) -> None:
        answer = await world.client.post("/api/v1/auth/login", json=LOGIN, headers={"User-Agent": agent})
        assert (answer.status_code, world.last.client) == (200, told)

    async def test_who_writes_another_address_into_a_header_is_not_believed(self, world: World) -> None:
        await world.client.post("/api/v1/auth/login", json=LOGIN, headers={"X-Forwarded-For": "192.0.2.9"})
        assert world.last.client_address == "127.0.0.1"

    async def test_a_proxy_of_ours_is_believed_about_the_hop_before_it(self) -> None:
        async with edge_world(trusted_proxies="127.0.0.0/8") as world:
            headers = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "192.0.2.9, 127.0.0.2")]
            await world.client.post("/api/v1/auth/login", json=LOGIN, headers=headers)
            assert world.last.client_address == "192.0.2.9"

    @pytest.mark.parametrize("where", ["json", "params"])
    async def test_an_address_or_a_program_is_not_taken_from_body_or_query(self, world: World, where: str) -> None:
        """Who could say it would have the guesses of another counted, or none."""
        for field in ("client_address", "client"):
            given: dict[str, Any] = {"json": LOGIN}
            given[where] = {**given.get(where, {}), field: "192.0.2.9"}
            answer = await world.client.post("/api/v1/auth/login", **given)
            assert [error["field"] for error in problem(answer, 400, "INVALID_REQUEST")["errors"]] == [field]

    async def test_an_old_token_does_not_keep_anybody_from_a_new_one(self, world: World) -> None:
        answer = await world.client.post(
            "/api/v1/auth/login",
            json={"login": "bob", "password": "secret"},
            headers={"Authorization": f"Bearer {token(expires_in=-5)}"},
        )
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"


class TestNonsense:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (b"{", "body"),
            (b'{"content": NaN}', "body"),
            (b'{"content": "\\ud800"}', "body"),
            (b'{"content": "\xff"}', "body"),
            (b"[" * 5000, "body"),
            (b'{"content":' + b"[" * 1015 + b"]" * 1015 + b"}", "body"),
            (b"[]", "body"),
            (b"null", "body"),
            (b'"text"', "body"),
            (b'{"content": "a", "content": "b"}', "content"),
            ({"content": 1}, "content"),
            ({"content": ["a"]}, "content"),
            ({"content": "a", "colour": "red"}, "colour"),
            ({"content": "a", "idempotency_key": "k"}, "idempotency_key"),
            ({"content": "a", "user_id": "me"}, "user_id"),
            ({"content": "a" * 5000}, "content"),
        ],
    )
    async def test_a_bad_body_is_400_naming_the_field(self, world: World, body: Any, field: str) -> None:
        document = problem(await post(world, body), 400, "INVALID_REQUEST")
        assert fields(document) == [field]

    async def test_every_wrong_field_is_named_and_what_is_allowed(self, world: World) -> None:
        document = problem(await post(world, {"content": 1, "user_id": 2, "x": 3}), 400, "INVALID_REQUEST")
        assert document["errors"] == [
            {"field": "content", "message": "must be a string"},
            {"field": "user_id", "message": "must be a string"},
            {"field": "x", "message": "is not known here; known are: content, user_id"},
        ]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=-1", "limit"),
            ("limit=1.5", "limit"),
            ("limit=", "limit"),
            ("limit=٣", "limit"),
            ("limit=99999999999999999999999", "limit"),
            ("limit=1&limit=2", "limit"),
            ("max_id=abc", "max_id"),
            ("max_id=", "max_id"),
            ("order=ranked", "order"),
            ("page=2", "page"),
            ("max_id=%ff", "query"),
            ("&".join("a=1" for _ in range(200)), "query"),
        ],
    )
    async def test_a_bad_query_is_400_naming_the_parameter(self, world: World, query: str, field: str) -> None:
        answer = await world.client.get(f"/api/v1/timeline/home?{query}", headers=as_alice())
        assert fields(problem(answer, 400, "INVALID_REQUEST")) == [field]

    @pytest.mark.parametrize("key", ["", "x" * 65, "caf\u00e9", "a\tb"])
    async def test_a_bad_idempotency_key_is_400_naming_the_header(self, world: World, key: str) -> None:
        headers = {name.encode(): value.encode() for name, value in as_alice().items()}
        headers |= {b"Content-Type": b"application/json", b"Idempotency-Key": key.encode("latin-1")}
        answer = await world.client.post("/api/v1/tweets", content=b'{"content": "a"}', headers=headers)
        document = problem(answer, 400, "INVALID_REQUEST")
        assert fields(document) == ["Idempotency-Key"]
        assert "idempotency_key" not in document["detail"]

    async def test_a_bad_id_in_the_path_is_400(self, world: World) -> None:
        assert fields(problem(await world.client.get("/api/v1/tweets/123"), 400, "INVALID_REQUEST")) == ["tweet_id"]

    async def test_an_id_given_twice_is_refused(self, world: World) -> None:
        answer = await world.client.post(
            f"/api/v1/users/{BOB}/follow?follower_id={ALICE}", json={"follower_id": str(ALICE)}, headers=as_alice()
        )
        assert fields(problem(answer, 400, "INVALID_REQUEST")) == ["follower_id"]

    async def test_anothers_user_id_is_403(self, world: World) -> None:
        document = problem(await post(world, {"content": "a", "user_id": str(BOB)}), 403, "NOT_YOUR_USER_ID")
        assert fields(document) == ["user_id"]

    @pytest.mark.parametrize(
        "path", ["/", "/api", "/api/v1/tweets/", f"/api/v1/tweets/{TWEET}/x", "/api/v1/users//follow"]
    )
    async def test_an_unknown_path_is_404(self, world: World, path: str) -> None:
        problem(await world.client.get(path), 404, "ROUTE_NOT_FOUND")

    async def test_a_path_that_is_not_text_is_404(self, world: World) -> None:
        assert b" 404 " in (await world.raw(b"GET /api/v1/tweets/%ff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))

    async def test_another_method_is_405_and_says_which_are_possible(self, world: World) -> None:
        answer = await world.client.put("/api/v1/tweets", json={})
        problem(answer, 405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == "GET, POST, HEAD, OPTIONS"

    async def test_more_than_64_kib_is_413_whether_announced_or_not(self, world: World) -> None:
        problem(await post(world, b" " * 65537), 413, "BODY_TOO_LARGE")

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(70):
                yield b" " * 1024

        answer = await world.client.post(
            "/api/v1/tweets", content=chunks(), headers=as_alice(**{"Content-Type": "application/json"})
        )
        problem(answer, 413, "BODY_TOO_LARGE")

    @pytest.mark.parametrize("expect", [b"", b"expect: 100-continue\r\n"])
    async def test_an_announced_body_that_is_too_large_is_not_waited_for(self, world: World, expect: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        head = b"POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n"
        writer.write(head + expect + b"\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert (b"connection: close" in answer) is bool(expect)
        writer.close()

    async def test_exactly_64_kib_is_read(self, world: World) -> None:
        body = b'{"content":"a"}'
        assert (await post(world, body + b" " * (65536 - len(body)))).status_code == 201

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
    async def test_another_content_type_is_415(self, world: World, kind: str) -> None:
        problem(await post(world, b"{}", **{"Content-Type": kind}), 415, "UNSUPPORTED_MEDIA_TYPE")

    async def test_a_charset_is_no_other_content_type(self, world: World) -> None:
        assert (await post(world, {"content": "a"}, **{"Content-Type": "Application/JSON; charset=UTF-8"})).is_success

    @pytest.mark.parametrize(
        "head",
        [
            b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-big: " + b"a" * 20_000 + b"\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + b"x-many: aaaaaaaaaaaaaaaa\r\n" * 1000 + b"\r\n",
            b"GET /healthz?" + b"a" * 20_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        ],
    )
    async def test_a_head_over_16_kib_is_431(self, world: World, head: bytes) -> None:
        answer = await world.raw(head)
        assert answer.startswith(b"HTTP/1.1 431 "), answer[:200]
        assert b"HEADERS_TOO_LARGE" in answer

    async def test_a_header_without_an_end_is_431(self, world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-big: ")
        await writer.drain()
        writer.write(b"a" * 17_000)
        assert (await reader.read(65536)).startswith(b"HTTP/1.1 431 ")
        writer.close()

    async def test_a_head_in_pieces_may_have_12_kib(self, world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n")
        for _ in range(12):
            writer.write(b"x-many: " + b"a" * 1014 + b"\r\n")
            await writer.drain()
        writer.write(b"\r\n")
        assert (await reader.read(65536)).startswith(b"HTTP/1.1 200 ")
        writer.close()

    async def test_a_compressed_body_is_415(self, world: World) -> None:
        problem(await post(world, {"content": "a"}, **{"Content-Encoding": "gzip"}), 415, "UNSUPPORTED_MEDIA_TYPE")
        assert (await post(world, {"content": "a"}, **{"Content-Encoding": "identity"})).status_code == 201

    @pytest.mark.parametrize("header", ["Authorization", "Content-Type", "Host"])
    async def test_a_header_of_which_one_can_be_meant_is_not_taken_twice(self, world: World, header: str) -> None:
        sent = as_alice(**{"Content-Type": "application/json", "Host": "a"}).items()
        head = "".join(f"{name}: {value}\r\n" for name, value in [*sent, (header, "another"), ("Content-Length", "2")])
        answer = (await world.raw(f"POST /api/v1/tweets HTTP/1.1\r\n{head}\r\n{{}}".encode())).decode()
        assert answer.startswith("HTTP/1.1 400 ") and f'"field":"{header}"' in answer, answer

    async def test_a_request_of_http_1_1_without_a_host_is_refused(self, world: World) -> None:
        answer = (await world.raw(b"GET /healthz HTTP/1.1\r\n\r\n")).decode()
        assert answer.startswith("HTTP/1.1 400 ") and '"field":"Host"' in answer, answer
        assert (await world.raw(b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")

    async def test_a_number_that_no_field_holds_is_told_what_this_one_takes(self, world: World) -> None:
        document = problem(
            await world.client.get("/api/v1/timeline/home?limit=-1", headers=as_alice()), 400, "INVALID_REQUEST"
        )
        assert [p["message"] for p in document["errors"]] == ["must be a whole number from 1 to 200"]

    async def test_an_ordinary_request_to_the_stream_is_told_what_a_handshake_has(self, world: World) -> None:
        document = problem(await world.client.get("/api/v1/stream"), 400, "INVALID_REQUEST")
        assert fields(document) == ["Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"]
        problem(await world.client.post("/api/v1/stream", json={}), 405, "METHOD_NOT_ALLOWED")

    async def test_what_is_no_http_is_a_400_problem(self, world: World) -> None:
        answer = await world.raw(b"\x16\x03\x01 hello\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in answer


class TestTokens:
    async def test_without_a_token_401_says_how(self, world: World) -> None:
        answer = await world.client.get("/api/v1/timeline/home")
        problem(answer, 401, "TOKEN_MISSING")
        assert answer.headers["www-authenticate"] == 'Bearer realm="aviary"'

    @pytest.mark.parametrize("value", ["Bearer nonsense", "Bearer", "Basic YTpi", "Bearer a.b.c", "x"])
    async def test_a_bad_token_is_401_even_where_none_is_needed(self, world: World, value: str) -> None:
        answer = await world.client.get(f"/api/v1/tweets/{TWEET}", headers={"Authorization": value})
        problem(answer, 401, "TOKEN_INVALID")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]

    @pytest.mark.parametrize("wrong", FORGERIES)
    async def test_a_forged_token_is_401(self, world: World, wrong: str) -> None:
        answer = await world.client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {FORGERIES[wrong]}"})
        problem(answer, 401, "TOKEN_INVALID")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]

    async def test_an_expired_token_is_401(self, world: World) -> None:
        answer = await world.client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token(expires_in=-1)}"})
        problem(answer, 401, "TOKEN_EXPIRED")

    async def test_a_login_that_has_ended_is_401_everywhere(self, world: World) -> None:
        """P42, promise 10: public pages included, or its owner would not learn of it."""
        access, login = world.fakes.logins.token(ALICE.bytes)
        world.fakes.logins.end(login)
        for method, path in EVERYWHERE:
            answer = await world.client.request(method, path, headers={"Authorization": f"Bearer {access}"})
            problem(answer, 401, "TOKEN_INVALID")

    async def test_a_suspended_account_is_403_everywhere(self, world: World) -> None:
        """Promise 10"""
        carol = uuid.uuid4().bytes
        access, _ = world.fakes.logins.token(carol)
        world.fakes.logins.change(carol, user_pb2.USER_STATUS_SUSPENDED)
        for method, path in EVERYWHERE:
            answer = await world.client.request(method, path, headers={"Authorization": f"Bearer {access}"})
            problem(answer, 403, "ACCOUNT_SUSPENDED")

    async def test_a_role_is_the_accounts_and_not_the_tokens(self, world: World) -> None:
        dora = uuid.uuid4().bytes
        access, _ = world.fakes.logins.token(dora)
        world.fakes.logins.change(dora, role=mesh_pb2.ROLE_MODERATOR)
        await world.client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {access}"})
        assert world.fakes.callers[-1].role == mesh_pb2.ROLE_MODERATOR

    async def test_a_login_that_nobody_can_vouch_for_is_503_and_not_401(self) -> None:
        """Promise 9: a client that is told 401 throws its login away."""
        async with edge_world() as world:
            world.fakes.logins.away = True
            answer = await world.client.get(f"/api/v1/tweets/{TWEET}", headers=as_alice())
            problem(answer, 503, "DEPENDENCY_UNAVAILABLE")
            assert answer.headers["retry-after"] == "1"
            assert (await world.client.get(f"/api/v1/tweets/{TWEET}")).status_code == 200

    async def test_a_missing_scope_is_403(self, world: World) -> None:
        headers = {"Authorization": f"Bearer {token(scopes=('read',))}"}
        problem(await world.client.post("/api/v1/tweets", json={}, headers=headers), 403, "INSUFFICIENT_SCOPE")


class TestFailures:
    @pytest.mark.parametrize(
        ("content", "status", "reason"),
        [
            ("long", 422, "TWEET_TOO_LONG"),
            ("reused", 409, "IDEMPOTENCY_KEY_REUSED"),
            ("busy", 429, "OVERLOADED"),
            ("down", 503, "DEPENDENCY_UNAVAILABLE"),
            ("late", 504, "DEADLINE_EXCEEDED"),
            ("denied", 403, "NOT_ALLOWED"),
            ("defect", 500, "INTERNAL"),
        ],
    )
    async def test_each_kind_of_failure_has_its_status(
        self, world: World, content: str, status: int, reason: str
    ) -> None:
        assert content in FAILURES
        answer = await post(world, {"content": content})
        document = problem(answer, status, reason)
        assert "secret detail" not in answer.text
        assert "errors" not in document
        assert answer.headers.get("retry-after") == {429: "3", 503: "1"}.get(status)

    async def test_what_is_absent_is_404(self, world: World) -> None:
        problem(await world.client.get(f"/api/v1/tweets/{uuid.uuid4()}"), 404, "TWEET_NOT_FOUND")

    async def test_a_service_that_is_down_is_503_at_once_and_comes_back_without_a_restart(self) -> None:
        async with remote_tweets() as (world, start):
            started = asyncio.get_running_loop().time()
            down = await post(world, {"content": "a"})
            problem(down, 503, "DEPENDENCY_UNAVAILABLE")
            assert down.headers["retry-after"] == "1"
            assert "127.0.0.1" not in down.text
            assert asyncio.get_running_loop().time() - started < BOUND_S
            await start()
            async with asyncio.timeout(BOUND_S):
                while (answer := await post(world, {"content": "a"})).status_code == 503:
                    pass
            assert answer.status_code == 201
            assert world.fakes.callers[-1].service == "edge"

    async def test_more_requests_than_the_edge_takes_are_503(self) -> None:
        async with edge_world(max_in_flight=1) as world:
            world.fakes.hold = asyncio.Event()
            first = asyncio.create_task(world.client.get(f"/api/v1/tweets/{TWEET}"))
            await world.fakes.asked.wait()
            refused = await world.client.get(f"/api/v1/tweets/{TWEET}")
            problem(refused, 503, "OVERLOADED")
            assert refused.headers["retry-after"] == "1"
            world.fakes.hold.set()
            assert (await first).status_code == 200
            assert (await world.client.get(f"/api/v1/tweets/{TWEET}")).status_code == 200

    async def test_homes_and_health_are_served_when_ordinary_requests_are_refused(self) -> None:
        async with edge_world(max_in_flight=3) as world:
            world.fakes.hold = asyncio.Event()
            held = [asyncio.create_task(world.client.get(f"/api/v1/tweets/{TWEET}")) for _ in range(2)]
            await until(lambda: len(world.fakes.requests) == 2)
            problem(await world.client.get(f"/api/v1/tweets/{TWEET}"), 503, "OVERLOADED")
            home = asyncio.create_task(world.client.get("/api/v1/timeline/home", headers=as_alice()))
            await until(lambda: len(world.fakes.requests) == 3)
            problem(await world.client.get("/api/v1/timeline/home", headers=as_alice()), 503, "OVERLOADED")
            assert (await world.client.get("/readyz")).status_code == 200
            world.fakes.hold.set()
            assert [answer.status_code for answer in await asyncio.gather(home, *held)] == [200] * 3

    async def test_a_stop_lets_requests_in_work_end(self) -> None:
        async with edge_world() as world:
            world.fakes.hold = asyncio.Event()
            pending = asyncio.create_task(world.client.get(f"/api/v1/tweets/{TWEET}"))
            await world.fakes.asked.wait()
            asyncio.get_running_loop().call_later(0.3, world.fakes.hold.set)
            await world.stop()
            assert world.fakes.hold.is_set()
            assert (await pending).status_code == 200


class TestHeaders:
    async def test_a_sane_request_id_is_kept_and_another_replaced(self, world: World) -> None:
        for given, kept in (("abc-1.2:3", True), ("a b", False), ("x" * 200, False), ('"', False)):
            answer = await world.client.get("/healthz", headers={"X-Request-Id": given})
            assert (answer.headers["x-request-id"] == given) is kept
            assert answer.headers["x-request-id"]

    async def test_a_clients_trace_is_continued_and_names_the_request(self, world: World) -> None:
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        answer = await world.client.get(f"/api/v1/tweets/{TWEET}", headers={"traceparent": trace})
        assert world.fakes.traces[-1] == trace
        assert answer.headers["x-request-id"] == "0af7651916cd43dd8448eb211c80319c"

    async def test_nonsense_for_a_trace_is_replaced(self, world: World) -> None:
        await world.client.get(f"/api/v1/tweets/{TWEET}", headers={"traceparent": "00-zz"})
        assert len(world.fakes.traces[-1]) == 55

    @pytest.mark.parametrize(
        ("accept", "coding"),
        [
            ("gzip", "gzip"),
            ("gzip, br, zstd", "zstd"),
            ("br;q=1.0, gzip;q=0.5", "br"),
            ("zstd;q=0, gzip", "gzip"),
            ("*", "zstd"),
            ("identity", None),
            ("gzip;q=nonsense", None),
        ],
    )
    async def test_a_large_answer_travels_in_the_coding_the_client_likes_best(
        self, world: World, accept: str, coding: str | None
    ) -> None:
        answer = await world.client.get("/api/v1/timeline/home", headers=as_alice(**{"Accept-Encoding": accept}))
        assert answer.headers.get("content-encoding") == coding
        assert "Accept-Encoding" in answer.headers.get_list("vary")
        if coding != "zstd":  # httpx reads the others by itself
            assert len(answer.json()["tweets"]) == 5

    async def test_a_single_object_has_an_etag_and_is_304_when_it_is_the_same(self, world: World) -> None:
        first = await world.client.get(f"/api/v1/tweets/{TWEET}")
        tag = first.headers["etag"]
        for value in (tag, f'"x", {tag}', "*", tag.removeprefix("W/")):
            again = await world.client.get(f"/api/v1/tweets/{TWEET}", headers={"If-None-Match": value})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        changed = await world.client.get(f"/api/v1/tweets/{TWEET}", headers={"If-None-Match": 'W/"other"'})
        assert changed.status_code == 200

    async def test_what_depends_on_the_viewer_is_private(self, world: World) -> None:
        path = f"/api/v1/tweets/{TWEET}"
        assert "private" in (await world.client.get(path, headers=as_alice())).headers["cache-control"]
        assert "private" not in (await world.client.get(path)).headers["cache-control"]
        assert "Authorization" in (await world.client.get(path)).headers.get_list("vary")

    async def test_head_is_get_without_its_body(self, world: World) -> None:
        get = await world.client.get(f"/api/v1/tweets/{TWEET}", headers={"Accept-Encoding": "identity"})
        head = await world.client.head(f"/api/v1/tweets/{TWEET}", headers={"Accept-Encoding": "identity"})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(get.content))
        assert head.headers["etag"] == get.headers["etag"]

    async def test_a_configured_origin_may_call_and_another_may_not(self, world: World) -> None:
        for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None), ("null", None)):
            answer = await world.client.get(f"/api/v1/tweets/{TWEET}", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert "Origin" in answer.headers.get_list("vary")

    async def test_a_preflight_names_methods_and_headers(self, world: World) -> None:
        answer = await world.client.options(
            "/api/v1/tweets", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        )
        assert answer.status_code == 204
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]
        problem(await world.client.options("/nowhere"), 404, "ROUTE_NOT_FOUND")


class TestPages:
    async def test_health_readiness_and_metrics_are_served(self, world: World) -> None:
        assert (await world.client.get("/healthz")).json() == {"alive": True}
        assert (await world.client.get("/readyz")).json()["ready"] is True
        await world.client.get(f"/api/v1/tweets/{TWEET}")
        assert 'aviary_edge_requests_total{outcome="200",rpc="GetTweet"}' in (await world.client.get("/metrics")).text

    async def test_docs_load_everything_from_here(self, world: World) -> None:
        page = await world.client.get("/docs")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "http://" not in page.text
        assert "https://" not in page.text
        assets = [piece.split('"')[0] for piece in page.text.replace('src="', 'href="').split('href="')[1:]]
        assert len(assets) == 4
        for asset in assets:
            answer = await world.client.get(asset)
            assert answer.status_code == 200, asset
            plain = await world.client.get(asset, headers={"Accept-Encoding": "identity"})
            assert plain.content == answer.content
            assert len(plain.content) > 100
        assert "/openapi.json" in (await world.client.get("/docs/initializer.js")).text


@pytest.mark.parametrize("sent", [{}, {"json": {}}, {"json": {"refresh_token": None}}])
async def test_an_answer_without_content_is_204_and_a_body_without_fields_may_be_left_out(
    world: World, sent: dict[str, Any]
) -> None:
    answer = await world.client.post("/api/v1/auth/logout", headers=as_alice(), **sent)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not {"content-type", "content-length", "transfer-encoding"} & set(answer.headers)
    assert not world.last.HasField("refresh_token")
