"""A TCP proxy before a real server: the network between us and it breaks or freezes on command, without touching the server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Forwards connections to one port of 127.0.0.1. `cut` and `mend` are a broken network, `freeze` one that swallows everything."""

    upstream: int
    port: int = 0
    _server: asyncio.Server | None = None
    _pipes: set[asyncio.Task[None]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)

    async def mend(self) -> None:
        """Accept and forward, on the same port as before."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Close every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def freeze(self) -> None:
        """Keep connections open and forward nothing until `mend`."""
        self._flowing.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        self._writers.add(to_writer)
        for source, target in ((reader, to_writer), (to_reader, writer)):
            task = asyncio.create_task(self._pipe(source, target))
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)

    async def _pipe(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    await self._flowing.wait()
                    target.write(data)
                    await target.drain()
        finally:
            self._writers.discard(target)
            target.transport.abort()


@contextlib.asynccontextmanager
async def proxy_before(port: int) -> AsyncIterator[Proxy]:
    """A proxy before a port, forwarding; gone after the block."""
    proxy = Proxy(port)
    await proxy.mend()
    try:
        yield proxy
    finally:
        await proxy.cut()
