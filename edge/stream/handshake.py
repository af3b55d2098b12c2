"""What an upgrade request asks for: pure reading and refusing of its head. Tokens and cursors are judged later."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge.auth import bearer
from edge.binding import parse_query, refusal
from edge.problems import RouteNotFound
from edge.stream.messages import ROUTE
from runtime.errors import FieldProblem

SUBPROTOCOL = "aviary.v1"
_PARAMETERS = ("access_token", "cursor")


@dataclass(frozen=True, slots=True)
class Opening:
    """A request for a stream. `token` is empty when it will come as the first message, `cursor` when nothing is continued."""

    token: str
    cursor: str
    subprotocol: bool


def read_opening(target: bytes, headers: Mapping[str, str]) -> Opening:
    """Read an upgrade request; `headers` by lower-case name.

    Raises RouteNotFound for another path, InvalidArgument for unknown or repeated parameters and for other subprotocols
    only, TokenInvalid for an Authorization header that holds no token.
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
    authorization = headers.get("authorization", "")
    token = bearer(authorization.encode("latin-1")) if authorization else given.get("access_token", "")
    return Opening(token, given.get("cursor", ""), bool(offered))
