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
