"""WebSockets by picows on uvicorn's own port: frames in and out, nothing about tweets. The first frame may bring the token."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # its stubs leave it out

from edge.auth import Grant
from edge.problems import http_status, render
from edge.stream.doorkeeper import Doorkeeper
from edge.stream.handshake import SUBPROTOCOL, Opening, read_opening
from edge.stream.requests import MAX_MESSAGE_BYTES, Auth, Watch, WatchRefused, read_message
from edge.stream.socket import CLOSE_GOING_AWAY, CLOSE_NORMAL, CLOSE_POLICY, CLOSE_TRY_LATER, Socket
from runtime.context import new_trace
from runtime.errors import InvalidArgument, ServiceError, Unauthenticated, Unavailable

LINGER_S = 5.0
_CALM_BYTES = 64 * 1024
_DRAIN_WITHIN_S = 30.0
_UNSUPPORTED = 1003
_EARLY_AT_MOST = 8

_CLIENTS_FAULT = "WS parser error"


class PicowsLog(logging.LoggerAdapter[logging.Logger]):
    """What picows logs, without the frames that clients send wrong: those are told so by a close code, and could fill the log.

    An adapter also because picows makes one logger for each connection out of a plain logger.
    """

    def log(self, level: int, msg: object, *args: Any, **options: Any) -> None:
        """Log unless the client is at fault."""
        if not str(msg).startswith(_CLIENTS_FAULT):
            super().log(level, msg, *args, **options)


_log = PicowsLog(logging.getLogger("picows"), {})


class PicowsWire:
    """The Wire of one picows connection."""

    def __init__(self, transport: WSTransport) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()

    def send(self, payload: bytes) -> None:
        """Send a text message."""
        self._transport.send(WSMsgType.TEXT, payload)

    def probe(self) -> None:
        """Send a ping frame; every client answers by itself."""
        self._transport.send_ping()

    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._transport.underlying_transport.get_write_buffer_size()

    async def drained(self) -> None:
        """Return when little is buffered, or after 30 s: then the bound on the buffer decides."""
        if self.buffered() > _CALM_BYTES:
            try:
                async with asyncio.timeout(_DRAIN_WITHIN_S):
                    await self._writable.wait()
            except TimeoutError:
                return

    def pause(self) -> None:
        """The buffer has grown."""
        self._writable.clear()

    def resume(self) -> None:
        """The buffer is nearly empty."""
        self._writable.set()

    def close(self, code: int, reason: str) -> None:
        """Say why after what is buffered, and leave the client 5 seconds to say it, too."""
        self._writable.set()
        if not self._transport.is_disconnected:
            self._transport.send_close(WSCloseCode(code), reason)
            asyncio.get_running_loop().call_later(LINGER_S, self._abort)

    def _abort(self) -> None:
        if not self._transport.is_disconnected:
            self._transport.disconnect(graceful=False)


class StreamListener(WSListener):
    """One connection: waits for its token, then hands it to the doorkeeper."""

    def __init__(self, doorkeeper: Doorkeeper, opening: Opening, token: str, refused: ServiceError | None) -> None:
        super().__init__()
        self._doorkeeper = doorkeeper
        self._opening = opening
        self._token = token
        self._refused = refused
        # What the client said while its login was asked about.
        self._early: list[bytes] | None = None
        self._left = False
        self._wire: PicowsWire | None = None
        self._socket: Socket | None = None
        self._waiting: asyncio.TimerHandle | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Let the reader in, or wait for the token."""
        self._wire = PicowsWire(transport)
        if self._refused is not None:
            self._close(CLOSE_POLICY, self._refused.reason)
        elif self._token:
            self._come_in(self._token)
        else:
            within = self._doorkeeper.limits.token_within_s
            self._waiting = asyncio.get_running_loop().call_later(
                within, self._close, CLOSE_POLICY, Unauthenticated.reason
            )

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame of the client: its token, what it watches, its goodbye, a sign of life."""
        if self._socket is not None:
            self._socket.heard = True
        if frame.msg_type == WSMsgType.CLOSE:
            self._close(CLOSE_NORMAL, "")
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT and frame.fin:
            self._take(frame.get_payload_as_bytes())
        elif frame.msg_type not in (WSMsgType.PONG, WSMsgType.PING):
            self._close(_UNSUPPORTED, "only whole text messages")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        self._left = True
        if self._waiting is not None:
            self._waiting.cancel()
        if self._wire is not None:
            self._wire.resume()
        if self._socket is not None:
            self._doorkeeper.leave(self._socket)

    def pause_writing(self) -> None:
        """The client reads slower than it is sent to."""
        if self._wire is not None:
            self._wire.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._wire is not None:
            self._wire.resume()

    def leave(self) -> None:
        """The server is stopping."""
        self._close(CLOSE_GOING_AWAY, "RESTARTING")

    def _take(self, payload: bytes) -> None:
        """Take a message of the client, or tell what is wrong with it."""
        try:
            if self._early is None:
                self._read(payload)
            elif len(self._early) < _EARLY_AT_MOST:
                self._early.append(payload)
            else:
                raise InvalidArgument("so much is not said before the first message of the stream")
        except WatchRefused as refused:
            if self._socket is not None:
                self._socket.refuse(refused)
            else:
                self._refuse(refused)
        except ServiceError as error:
            if self._socket is not None and isinstance(error, InvalidArgument):
                # A close code has no room for what is allowed.
                self._socket.refuse(error)
            self._refuse(error)

    def _read(self, payload: bytes) -> None:
        """Act on a message of the client. Raises ServiceError."""
        match read_message(payload):
            case Auth(token):
                self._come_in(token)
            case Watch(tweet_ids) if self._socket is not None:
                self._doorkeeper.watch(self._socket, tweet_ids)
            case Watch():
                raise Unauthenticated("a stream needs an access token before anything else")

    def _come_in(self, token: str) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._early = []
        self._doorkeeper.tasks.spawn(self._ask(token))

    async def _ask(self, token: str) -> None:
        """Let the reader in, or stay, as soon as its login is known to stand; then hear what it said meanwhile."""
        try:
            self._enter(await self._doorkeeper.admit(token))
        except ServiceError as error:
            self._refuse(error)
        finally:
            early, self._early = self._early or [], None
        for payload in early:
            self._take(payload)

    def _enter(self, grant: Grant) -> None:
        if self._left:
            return
        if self._socket is not None:
            self._doorkeeper.renew(self._socket, grant)
        elif self._wire is not None:
            since_ms = self._doorkeeper.resume_ms(self._opening.cursor, grant)
            self._socket = self._doorkeeper.enter(self._wire, grant, since_ms)

    def _refuse(self, error: ServiceError) -> None:
        self._close(CLOSE_TRY_LATER if isinstance(error, Unavailable) else CLOSE_POLICY, error.reason)

    def _close(self, code: int, reason: str) -> None:
        self._left = True
        if self._socket is not None:
            self._socket.close(code, reason)
        elif self._wire is not None:
            self._wire.close(code, reason)


def accept(doorkeeper: Doorkeeper, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
    """Answer an upgrade request: 101, or a problem document. A bad token is told by a close code, which browsers can read."""
    request_id = new_trace()[3:35]
    try:
        opening = read_opening(request.path, {name.lower(): value for name, value in request.headers.items()})
        grant, token, refused = _identify(doorkeeper, opening)
        if grant is not None:
            doorkeeper.resume_ms(opening.cursor, grant)
    except ServiceError as error:
        response = render(error, request_id)
        headers = {"Content-Type": response.content_type.decode(), "X-Request-Id": request_id}
        headers |= {name.decode(): value.decode() for name, value in response.headers}
        problem = WSUpgradeResponse.create_error_response(http_status(error), response.body, headers)
        return WSUpgradeResponseWithListener(problem, None)
    headers = {"X-Request-Id": request_id}
    if opening.subprotocol:
        headers["Sec-WebSocket-Protocol"] = SUBPROTOCOL
    listener = StreamListener(doorkeeper, opening, token, refused)
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(headers), listener)


def _identify(doorkeeper: Doorkeeper, opening: Opening) -> tuple[Grant | None, str, ServiceError | None]:
    if not (opening.authorization or opening.access_token):
        return None, "", None
    try:
        token = opening.token()
        return doorkeeper.identify(token), token, None
    except ServiceError as error:
        return None, "", error


class StreamProtocol(asyncio.Protocol):
    """What uvicorn puts in the place of its HTTP protocol: hands bytes to picows, which wants them in its own buffer."""

    def __init__(self, listen: Callable[[WSUpgradeRequest], WSUpgradeResponseWithListener], server_state: Any) -> None:
        self._connections: set[Any] = server_state.connections
        self._inner = WSProtocol(
            None,
            None,
            False,
            listen,
            _log,
            True,
            10,
            False,
            10,
            10,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            True,
            MAX_MESSAGE_BYTES,
            None,
            2048,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection."""
        self._connections.add(self)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client; the first ones are the head of the upgrade request."""
        view = memoryview(data)
        while view:
            room = self._inner.get_buffer(len(view))
            taken = min(len(room), len(view))
            room[:taken] = view[:taken]
            view = view[taken:]
            self._inner.buffer_updated(taken)

    def eof_received(self) -> bool:
        """The client sends nothing more."""
        done: bool = self._inner.eof_received()
        return done

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._connections.discard(self)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The buffer to the client is full."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The buffer to the client is nearly empty."""
        self._inner.resume_writing()

    def shutdown(self) -> None:
        """The server is stopping."""
        if isinstance(self._inner.listener, StreamListener):
            self._inner.listener.leave()
        else:
            self._inner.transport.disconnect()


def upgrades(doorkeeper: Doorkeeper) -> Callable[..., StreamProtocol]:
    """What uvicorn's `ws` is set to."""

    def make(*, server_state: Any, **_: Any) -> StreamProtocol:
        return StreamProtocol(lambda request: accept(doorkeeper, request), server_state)

    return make
