"""uvicorn's HTTP protocol with bounds on the request head and problem documents for what never becomes a request."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from edge.problems import HeadersTooLarge, render
from edge.stream.handshake import missing_of_handshake
from runtime.context import new_trace
from runtime.errors import InvalidArgument, ServiceError

MAX_HEAD_BYTES = 16 * 1024
HEAD_WITHIN_S = 10.0
LINGER_S = 1.0


class HeadTooLarge(Exception):
    """Raised inside the parser to stop it."""


class EdgeProtocol(HttpToolsProtocol):
    """One connection. The parser itself would collect headers without end and wait for them for ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._heads = 0
        self._head_bytes = 0
        self._unparsed_bytes = 0
        self._too_large = False
        self._refused = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start waiting for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._calm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless a head that is still incomplete has become too large."""
        if self._refused:
            return
        only_head, heads = self._in_head, self._heads
        super().data_received(data)
        if not only_head or self._heads != heads or self._refused or self.transport.is_closing():
            return
        # All of it belongs to a head that goes on. Counted also here, because a single endless header reaches no callback.
        self._unparsed_bytes += len(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES:
            self._too_large = True
            self.send_400_response("")
        elif self._patience is None:
            self._wait()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target arrived."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header arrived."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: from here on the application bounds the request."""
        self._in_head, self._head_bytes, self._unparsed_bytes = False, 0, 0
        self._heads += 1
        self._calm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete: what comes now is the next head."""
        super().on_message_complete()
        self._in_head = True

    def send_400_response(self, msg: str) -> None:
        """Answer something that is no request, and close."""
        error: ServiceError = InvalidArgument(msg or "this is not HTTP/1.1")
        if self._too_large:
            error = HeadersTooLarge(f"the head of a request must not be larger than {MAX_HEAD_BYTES} bytes")
        request_id = new_trace()[3:35]
        response = render(error, request_id)
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", str(len(response.body)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[response.status] + lines + b"\r\n" + response.body)
        # What still comes is read and dropped for a moment: closing at once would reset the connection before the answer is read.
        self._refused = True
        self._calm()
        self.transport.write_eof()
        self.loop.call_later(LINGER_S, self._give_up)

    def _should_upgrade(self) -> bool:
        # Anything less than a handshake is an ordinary request: who takes over the connection would refuse it without a problem document.
        upgrades: bool = super()._should_upgrade()
        return upgrades and self.scope["method"] == "GET" and not missing_of_handshake(self.headers)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._too_large = True
            raise HeadTooLarge

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEAD_WITHIN_S, self._give_up)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
