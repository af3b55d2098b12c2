"""Sockets that wait for posts, in the load process, so that one clock sees a post and its arrivals. Who posts is load.py."""

import asyncio
import contextlib
import time
from collections import defaultdict

import orjson
import websockets

from bench.orders import STREAM_PATH

PATIENCE_S = 20.0


class Arrivals:
    """When each tweet was due and when it came on each socket."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._came: dict[str, list[float]] = defaultdict(list)
        self._arrived = asyncio.Event()
        self._sockets: list[websockets.ClientConnection] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, host: str, port: int, tokens: list[str]) -> None:
        """One socket a reader; returns when each has said hello."""
        for token in tokens:
            url = f"ws://{host}:{port}{STREAM_PATH}?access_token={token}"
            socket = await websockets.connect(url, compression=None, max_queue=None)
            hello = orjson.loads(await socket.recv())
            if hello["type"] != "hello":
                raise RuntimeError(f"a stream began with {hello['type']}")
            self._sockets.append(socket)
            self._tasks.append(asyncio.create_task(self._listen(socket)))

    def posted(self, tweet_id: str, due: float) -> None:
        """A tweet was accepted; `due` is when it should have been sent, in seconds of perf_counter."""
        self._due[tweet_id] = due

    async def complete(self) -> int:
        """Wait until every tweet has come on every socket, or the patience is over; how many are missing then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while self._missing():
                    self._arrived.clear()
                    await self._arrived.wait()
        return self._missing()

    def forget(self) -> None:
        """Begin anew."""
        self._due.clear()
        self._came.clear()

    def taken_s(self) -> list[float]:
        """Seconds from due to arrival, for every arrival of a tweet that was posted here."""
        return [at - due for tweet_id, due in self._due.items() for at in self._came[tweet_id]]

    async def close(self) -> None:
        """Close the sockets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self._sockets:
            await socket.close()

    def _missing(self) -> int:
        return sum(len(self._sockets) - len(self._came[tweet_id]) for tweet_id in self._due)

    async def _listen(self, socket: websockets.ClientConnection) -> None:
        async for text in socket:
            at = time.perf_counter()
            message = orjson.loads(text)
            if message["type"] == "tweet":
                self._came[message["data"]["tweet_id"]].append(at)
                self._arrived.set()
