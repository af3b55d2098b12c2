"""Every failure has its HTTP status, its document and the headers that go with it."""

import grpc
import orjson
import pytest

from edge.auth import TokenExpired
from edge.problems import BodyTooSlow, HeadersTooLarge, MethodNotAllowed, http_status, render
from runtime.errors import InvalidArgument, RemoteError, Unauthenticated, Unavailable

TABLE = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 422,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "CANCELLED": 499,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "UNKNOWN": 500,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
}


def remote(code: grpc.StatusCode, retry_after_s: float | None = None) -> RemoteError:
    return RemoteError(code, "SOME_REASON", "what happened", (), retry_after_s)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_of_grpc_has_one_of_http(code: grpc.StatusCode) -> None:
    response = render(remote(code), "r1")
    assert response.status == TABLE[code.name]
    document = orjson.loads(response.body)
    assert document["type"] == "urn:aviary:reason:SOME_REASON"
    assert document["title"] == "Some reason"
    assert (document["detail"] == "what happened") is (response.status < 500)
    assert (document["reason"], document["request_id"], document["status"]) == ("SOME_REASON", "r1", response.status)


@pytest.mark.parametrize(("after", "shown"), [(None, b"1"), (0.0, b"1"), (0.2, b"1"), (2.1, b"3")])
def test_a_wait_is_told_in_whole_seconds_of_at_least_one(after: float | None, shown: bytes) -> None:
    for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
        assert (b"retry-after", shown) in render(remote(code, after), "r").headers


def test_no_problem_is_stored_by_caches() -> None:
    assert (b"cache-control", b"no-store") in render(Unavailable("away"), "r").headers


def test_a_missing_token_asks_for_one_and_a_bad_one_is_called_bad() -> None:
    assert (b"www-authenticate", b'Bearer realm="aviary"') in render(Unauthenticated("who?"), "r").headers
    bad = (b"www-authenticate", b'Bearer realm="aviary", error="invalid_token"')
    assert bad in render(TokenExpired("late"), "r").headers


def test_what_exists_at_the_edge_only_has_its_own_status() -> None:
    assert http_status(HeadersTooLarge("")) == 431
    assert (b"connection", b"close") in render(BodyTooSlow("slow"), "r").headers
    assert (b"allow", b"GET, HEAD") in render(MethodNotAllowed("PUT", ("GET", "HEAD")), "r").headers


def test_invalid_input_always_lists_its_fields() -> None:
    assert orjson.loads(render(InvalidArgument("bad"), "r").body)["errors"] == []
