"""uvicorn on the public port as one piece of background work of the process; what it serves is app.py's part."""

import asyncio
import socket
from typing import Any

import uvicorn

from edge.http_protocol import EdgeProtocol
from runtime.config import ConfigError
from runtime.http import App, QuietServer

DRAIN_S = 4
_KEEP_ALIVE_S = 30
_BACKLOG = 2048


class HttpServer:
    """Listens from the start, serves while `run` runs.

    `upgrades` is uvicorn's `ws`: a protocol factory that takes over connections which ask for a WebSocket; without one such a request is
    an ordinary GET.
    """

    def __init__(self, app: App, host: str, port: int, upgrades: Any = "none") -> None:
        self._socket = _bind(host, port)
        self._server = QuietServer(
            uvicorn.Config(
                app,
                http=EdgeProtocol,
                ws=upgrades,
                interface="asgi3",
                lifespan="off",
                access_log=False,
                log_config=None,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=DRAIN_S,
            )
        )

    @property
    def port(self) -> int:
        """The port that is bound: the one asked for, or a free one for 0."""
        number: int = self._socket.getsockname()[1]
        return number

    async def run(self) -> None:
        """Serve until cancelled; then let requests in work end, for up to 4 seconds."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._server.should_exit = True
            await serving
            raise


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror}): set AVIARY_HTTP_PORT to a free port"
        ) from None
    bound.setblocking(False)
    return bound
