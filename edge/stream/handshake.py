"""What an upgrade request asks for: pure reading and refusing of its head. Tokens and cursors are judged later."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.auth import bearer
from edge.binding import parse_query, refusal
from edge.problems import RouteNotFound
from edge.stream.messages import ROUTE
from edge.web import Header
from runtime.errors import FieldProblem

SUBPROTOCOL = "aviary.v1"
VERSION = b"13"
MAX_HEADERS = 128
_KEY_BYTES = 16
_PARAMETERS = ("access_token", "cursor")


def missing_of_handshake(headers: Sequence[Header]) -> list[FieldProblem]:
    """What keeps a GET with these headers (names in lower case) from being the handshake of RFC 6455; empty when it is one."""
    given = dict(headers)
    connection = [word.strip().lower() for word in given.get(b"connection", b"").split(b",")]
    problems = []
    if b"upgrade" not in connection or given.get(b"upgrade", b"").lower() != b"websocket":
        problems.append(FieldProblem("Upgrade", "must be websocket, with Connection: Upgrade"))
    if given.get(b"sec-websocket-version") != VERSION:
        problems.append(FieldProblem("Sec-WebSocket-Version", f"must be {VERSION.decode()}"))
    if not _is_key(given.get(b"sec-websocket-key", b"")):
        problems.append(FieldProblem("Sec-WebSocket-Key", f"must be {_KEY_BYTES} bytes in base64"))
    if given.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in given:
        problems.append(FieldProblem("body", "must be empty"))
    if len(headers) > MAX_HEADERS:
        problems.append(FieldProblem("headers", f"must not be more than {MAX_HEADERS}"))
    return problems


def _is_key(text: bytes) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


@dataclass(frozen=True, slots=True)
class Opening:
    """A request for a stream. Without `authorization` and `access_token` the token comes as the first message.

    `cursor` is empty when nothing is continued.
    """

    authorization: str
    access_token: str
    cursor: str
    subprotocol: bool

    def token(self) -> str:
        """The token, empty when it comes later. Raises TokenInvalid for an Authorization header that holds none."""
        return bearer(self.authorization.encode("latin-1", "replace")) if self.authorization else self.access_token


def read_opening(target: bytes, headers: Mapping[str, str]) -> Opening:
    """Read an upgrade request; `headers` by lower-case name.

    Raises RouteNotFound for another path, InvalidArgument for unknown or repeated parameters and for an offer of other
    subprotocols only.
    """
    path, _, query = target.partition(b"?")
    if path != ROUTE.encode():
        raise RouteNotFound("there is no stream at this path")
    given: dict[str, str] = {}
    problems = []
    for name, value in parse_query(query):
        if name not in _PARAMETERS:
            problems.append(FieldProblem(name, f"is not a parameter of this route; those are {', '.join(_PARAMETERS)}"))
        elif name in given:
            problems.append(FieldProblem(name, "is given twice"))
        given[name] = value
    offered = [p.strip() for p in headers.get("sec-websocket-protocol", "").split(",") if p.strip()]
    if offered and SUBPROTOCOL not in offered:
        problems.append(FieldProblem("Sec-WebSocket-Protocol", f"must offer {SUBPROTOCOL}, or nothing"))
    if problems:
        raise refusal(problems)
    return Opening(
        headers.get("authorization", ""), given.get("access_token", ""), given.get("cursor", ""), bool(offered)
    )
