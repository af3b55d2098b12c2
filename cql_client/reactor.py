"""The driver's connections and timers on the event loop of the process, without a thread of their own. Sessions are connect.py's matter."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident
from typing import Any, ClassVar, cast

from cassandra.connection import Connection, ConnectionShutdown


class LoopThread:
    """The running event loop and its thread, for callers in any thread: most answers come on its own, some from the driver's executor."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._ident = get_ident()

    def do(self, what: Callable[..., object], *args: Any) -> None:
        """At once on the loop's thread; from another one soon, in the order of the calls. Nothing once the loop is closed."""
        if get_ident() != self._ident:
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(what, *args)
        elif not self.loop.is_closed():
            what(*args)

    def wait(self, response: Any) -> asyncio.Future[Any]:
        """The rows of a response future of the driver, or its error, unchanged."""
        future: asyncio.Future[Any] = self.loop.create_future()

        def finish(settle: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                settle(value)

        response.add_callbacks(
            lambda rows: self.do(finish, future.set_result, rows),
            lambda error: self.do(finish, future.set_exception, error),
        )
        return future

    def connection_class(self) -> Any:
        """What a cluster of the driver makes its connections and timers of."""
        return type("LoopConnection", (LoopConnection,), {"home": self})


class Timer:
    """Calls back on the loop's thread after a while, unless it is cancelled, by whichever thread."""

    def __init__(self, home: LoopThread, delay_s: float, callback: Callable[[], object]) -> None:
        self._home = home
        self._callback: Callable[[], object] | None = callback
        self._handle: asyncio.TimerHandle | None = None
        home.do(self._start, delay_s)

    def cancel(self) -> None:
        """Do not call back."""
        self._callback = None
        self._home.do(self._stop)

    def _start(self, delay_s: float) -> None:
        self._handle = self._home.loop.call_later(delay_s, self._fire)

    def _stop(self) -> None:
        if self._handle:
            self._handle.cancel()

    def _fire(self) -> None:
        if callback := self._callback:
            callback()


class LoopConnection(Connection, asyncio.Protocol):  # type: ignore[misc]  # the driver has no types
    """A TCP connection of the driver. It is made in another thread than the loop's, which it waits for; all else is for any thread."""

    home: ClassVar[LoopThread]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.ssl_context is not None:
            raise NotImplementedError("connections on the event loop have no TLS")
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._connect_socket()
        self.home.do(self._open)

    @classmethod
    def create_timer(cls, timeout: float, callback: Callable[[], object]) -> Timer:
        """A deadline of a request, or the moment to help it out."""
        return Timer(cls.home, timeout, callback)

    def push(self, data: bytes) -> None:
        """Send what one thread pushes in its order."""
        self.home.do(self._write, data)

    def close(self) -> None:
        """End it, once, and fail what waits for an answer."""
        with self.lock:
            if self._ended:
                return
            self._ended = True
            # For a closed one that its pool still has, who asks would wait 2 s, on the loop's thread; a defunct one is refused at once.
            self.is_closed = not self.is_defunct
        self.home.do(self._hang_up)
        if self.is_closed:
            self.error_all_requests(ConnectionShutdown(f"the connection to {self.endpoint} was closed"))
            self.connected_event.set()

    def wait_for_responses(self, *msgs: Any, **kwargs: Any) -> Any:
        """As the driver does, but never for ever: the loop may be gone, or its thread wait for a lock that the caller holds."""
        kwargs["timeout"] = kwargs.get("timeout") or self.connect_timeout
        return super().wait_for_responses(*msgs, **kwargs)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has the socket, so the handshake begins; nobody has the connection before that ended well."""
        self._transport = cast(asyncio.Transport, transport)
        if self._ended:
            self._hang_up()
        else:
            self._send_options_message()

    def data_received(self, data: bytes) -> None:
        """Answers, or parts of them."""
        self._iobuf.write(data)
        self.process_io_buffer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end closed or reset it, or `close` did, and then nothing is left to say."""
        self.defunct(exc or ConnectionShutdown(f"{self.endpoint} closed the connection"))

    def _open(self) -> None:
        self._opening = self.home.loop.create_task(self._hand_over())

    async def _hand_over(self) -> None:
        try:
            await self.home.loop.create_connection(lambda: self, sock=self._socket)
        except OSError as error:
            self.defunct(error)

    def _write(self, data: bytes) -> None:
        if self._transport and not self._ended:
            self._transport.write(data)

    def _hang_up(self) -> None:
        # Not `close`, which waits for a peer that reads nothing any more.
        if self._transport:
            self._transport.abort()
