"""One HTTP request and one answer as values; routes and JSON are elsewhere."""

import re
from dataclasses import dataclass, field

from edge.addresses import Proxies, client_address
from runtime.context import new_trace
from runtime.errors import FieldProblem
from runtime.http import Receive, Scope, Send

Header = tuple[bytes, bytes]

JSON = b"application/json"

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_FORWARDED = b"x-forwarded-for"
_ONCE = {b"authorization": "Authorization", b"content-type": "Content-Type", b"host": "Host"}


class Request:
    """A request whose head has arrived. Header names are lower case; of a repeated header the last value is in `headers`."""

    __slots__ = (
        "_peer",
        "_proxies",
        "_wants_host",
        "headers",
        "method",
        "query",
        "raw_headers",
        "raw_path",
        "receive",
        "request_id",
        "trace",
    )

    def __init__(self, scope: Scope, receive: Receive, proxies: Proxies = ()) -> None:
        """`proxies`: networks whose word is taken for where a request came from."""
        self._peer: tuple[str, int] | None = scope.get("client")
        self._proxies = proxies
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.raw_headers: list[Header] = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(self.raw_headers)
        self.receive = receive
        self._wants_host = scope["http_version"] == "1.1"
        self.trace = _trace(self.headers.get(b"traceparent", b""))
        # Without one of the client's own the trace names the request, so that its log lines are found by what the client saw.
        given = self.headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if _REQUEST_ID.fullmatch(given) else self.trace[3:35]

    def client_address(self) -> str:
        """The address of the client, empty when unknown. Personal: it goes to who must have it, and never into logs."""
        forwarded = [value for name, value in self.raw_headers if name == _FORWARDED]
        return client_address(self._peer[0] if self._peer else "", forwarded, self._proxies)

    def head_problems(self) -> list[FieldProblem]:
        """What makes the head unclear: no Host in HTTP/1.1, or headers given more than once although only one can be meant.

        Two readers would see two different requests.
        """
        problems = []
        if self._wants_host and b"host" not in self.headers:
            problems.append(FieldProblem("Host", "must be given"))
        if len(self.headers) < len(self.raw_headers):
            names = [name for name, _ in self.raw_headers]
            twice = [text for name, text in _ONCE.items() if names.count(name) > 1]
            problems += [FieldProblem(header, "is given more than once") for header in twice]
        return problems


def _trace(given: bytes) -> str:
    return given.decode() if _TRACEPARENT.fullmatch(given) else new_trace()


@dataclass(slots=True)
class Response:
    """An answer that is known as a whole."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: list[Header] = field(default_factory=list)


async def send_response(response: Response, method: str, send: Send) -> None:
    """Send an answer. To HEAD go the headers alone, with the length of what GET would bring."""
    headers = response.headers
    if response.status not in (204, 304):
        length = str(len(response.body)).encode()
        headers = [(b"content-type", response.content_type), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})
