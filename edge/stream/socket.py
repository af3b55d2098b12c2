"""One reader's socket: what was sent, from when it continues, when it ends. The network below it is a `Wire`; nothing is loaded here."""

import secrets
from collections import OrderedDict
from typing import Protocol

from edge.auth import Grant
from edge.stream.messages import NOTHING, StreamCursors, Type, error, hello, message, revoked, unique
from runtime.errors import InvalidArgument

REMEMBERED = 512
BUFFER_BYTES = 256 * 1024
CURSOR_FOR_MS = 1000

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_POLICY = 1008
CLOSE_TRY_LATER = 1013


class Wire(Protocol):
    """A WebSocket connection as the socket sees it."""

    def send(self, payload: bytes) -> None:
        """Send a text message; never blocks."""

    def probe(self) -> None:
        """Ask the other end for a sign of life."""

    def buffered(self) -> int:
        """Bytes that the other end has not taken yet."""

    async def drained(self) -> None:
        """Return when most of the buffer has been taken."""

    def close(self, code: int, reason: str) -> None:
        """Close after what is buffered, and abort when that takes too long."""


class Horizon(Protocol):
    """How far fan-out has certainly come."""

    def cursor_ms(self) -> int:
        """The time that a cursor may hold now."""


class Socket:
    """Sends messages to one connection of one reader; drops repeats; closes a connection that does not read."""

    def __init__(self, wire: Wire, grant: Grant, cursors: StreamCursors, horizon: Horizon) -> None:
        self.viewer = grant.caller.user_id
        self.session_id = grant.caller.session_id
        self.expires_at_ms = grant.expires_at_ms
        self.heard = True
        self.closed = False
        self.greeted = False
        self._wire = wire
        self._cursors = cursors
        self._horizon = horizon
        self._sent: OrderedDict[bytes, None] = OrderedDict()
        self._sealed: tuple[int, str] | None = None
        self._held_at_ms: int | None = None
        self._connection = secrets.token_hex(4)
        self._number = 0

    @property
    def held_at_ms(self) -> int | None:
        """The time that its cursors stand at because older events are still being caught up with; None: it is up to date."""
        return self._held_at_ms

    def hold(self, at_ms: int) -> None:
        """From now on cursors say `at_ms`, or what they were held at if that is earlier: a reconnect must start there."""
        self._held_at_ms = at_ms if self._held_at_ms is None else min(at_ms, self._held_at_ms)

    def release(self) -> None:
        """Everything was caught up with."""
        self._held_at_ms = None

    def hello(self, heartbeat_s: int) -> None:
        """The first message."""
        self.greeted = True
        event_id = self._next_id()
        self._send(Type.HELLO, hello(event_id, heartbeat_s), event_id)

    def ping(self) -> None:
        """A heartbeat, for the application and for the connection."""
        self.heard = False
        self._send(Type.PING, NOTHING)
        self._wire.probe()

    def tweet(self, tweet_id: bytes, data: bytes) -> None:
        """A tweet, unless it is among the last 512 that were sent."""
        if self._is_new(tweet_id):
            self._send(Type.TWEET, data)

    def tweet_deleted(self, tweet_id: bytes, data: bytes, again: bool = False) -> None:
        """A deletion, unless it is among the last 512 messages about tweets; `again`: the client asked."""
        if self._is_new(b"-" + tweet_id) or again:
            self._send(Type.TWEET_DELETED, data)

    def counts(self, data: bytes) -> None:
        """Counts of a tweet that the client watches."""
        self._send(Type.COUNTS, data)

    def refuse(self, refused: InvalidArgument) -> None:
        """A message of the client was not understood and changes nothing."""
        self._send(Type.ERROR, error(refused))

    def gap(self) -> None:
        """Events were lost that cannot be caught up with: read again over REST."""
        self._send(Type.GAP, NOTHING)

    def revoke(self, reason: str) -> None:
        """The right to read ended."""
        self._send(Type.REVOKED, revoked(reason))
        self.close(CLOSE_POLICY, reason)

    async def drained(self) -> None:
        """Return when the reader has taken most of what was sent; for who sends much at once."""
        await self._wire.drained()

    def close(self, code: int, reason: str) -> None:
        """Close; sending afterwards does nothing."""
        if not self.closed:
            self.closed = True
            self._wire.close(code, reason)

    def _is_new(self, key: bytes) -> bool:
        """Whether it was not sent lately; from now on it was."""
        if key in self._sent:
            self._sent.move_to_end(key)
            return False
        self._sent[key] = None
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        return True

    def _send(self, kind: Type, data: bytes, event_id: str = "") -> None:
        if self.closed:
            return
        if self._wire.buffered() > BUFFER_BYTES:
            self.close(CLOSE_TRY_LATER, "SLOW_READER")
            return
        self._wire.send(message(event_id or self._next_id(), kind, data))

    def _next_id(self) -> str:
        """A cursor that no other message has, of this connection or of any: clients drop ids that they have."""
        self._number += 1
        return unique(self._cursor(), f"{self._connection}{self._number:x}")

    def _cursor(self) -> str:
        at_ms = self._horizon.cursor_ms() if self._held_at_ms is None else self._held_at_ms
        # A cursor that is a second old repeats a second more at a reconnect and saves a signature for every message.
        if self._sealed is None or not 0 <= at_ms - self._sealed[0] < CURSOR_FOR_MS:
            self._sealed = (at_ms, self._cursors.seal(self.viewer, at_ms))
        return self._sealed[1]
