"""The head of an upgrade request, read and refused without a network."""

import pytest

from edge.auth import TokenInvalid
from edge.problems import RouteNotFound
from edge.stream.handshake import missing_of_handshake, read_opening
from runtime.errors import InvalidArgument

PATH = b"/api/v1/stream"
HANDSHAKE = {
    b"host": b"x",
    b"connection": b"keep-alive, Upgrade",
    b"upgrade": b"websocket",
    b"sec-websocket-version": b"13",
    b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
}


def test_a_handshake_lacks_nothing() -> None:
    assert missing_of_handshake(list(HANDSHAKE.items())) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({b"connection": b"keep-alive"}, "Upgrade"),
        ({b"upgrade": b"h2c"}, "Upgrade"),
        ({b"sec-websocket-version": b"8"}, "Sec-WebSocket-Version"),
        ({b"sec-websocket-key": b"short"}, "Sec-WebSocket-Key"),
        ({b"sec-websocket-key": b"\xff"}, "Sec-WebSocket-Key"),
        ({b"content-length": b"5"}, "body"),
        ({b"transfer-encoding": b"chunked"}, "body"),
        ({b"x-%d" % n: b"" for n in range(128)}, "headers"),
    ],
)
def test_what_a_handshake_lacks_is_named(changed: dict[bytes, bytes], field: str) -> None:
    assert [p.field for p in missing_of_handshake(list((HANDSHAKE | changed).items()))] == [field]


def test_token_and_cursor_are_read() -> None:
    opening = read_opening(PATH + b"?access_token=t&cursor=c", {"sec-websocket-protocol": "x, aviary.v1"})
    assert (opening.token(), opening.cursor, opening.subprotocol) == ("t", "c", True)
    assert read_opening(PATH + b"?access_token=t", {"authorization": "Bearer h"}).token() == "h"
    assert read_opening(PATH, {}).token() == "" and not read_opening(PATH, {}).subprotocol


@pytest.mark.parametrize("header", ["Basic x", "Bearer", "Bearer \u00ff"])
def test_a_header_without_a_token_is_no_missing_token(header: str) -> None:
    with pytest.raises(TokenInvalid):
        read_opening(PATH, {"authorization": header}).token()


@pytest.mark.parametrize(
    ("query", "fields"), [("?a=1&b=2", ["a", "b"]), ("?cursor=1&cursor=2", ["cursor"]), ("?%ff=1", ["query"])]
)
def test_unknown_and_repeated_parameters_are_named(query: str, fields: list[str]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_opening(PATH + query.encode(), {})
    assert [p.field for p in refused.value.fields] == fields


def test_other_subprotocols_alone_are_refused() -> None:
    with pytest.raises(InvalidArgument):
        read_opening(PATH, {"sec-websocket-protocol": "graphql-ws"})


@pytest.mark.parametrize("path", [b"/", b"/api/v1/streams", b"/api/v1/stream/", b""])
def test_other_paths_are_not_found(path: bytes) -> None:
    with pytest.raises(RouteNotFound):
        read_opening(path, {})
