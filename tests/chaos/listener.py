"""A reader at the stream who reconnects with a cursor, as a client does, and knows what arrived; and one who reads lists all the time."""

import asyncio
import json
import time
from collections import Counter

import httpx
import websockets

from tests.e2e.aviary import API, Person, until

_AGAIN_S = 0.1
_LOOK_S = 0.2
"""Between two looks at both lists: several in any second that a promise speaks of, and most of the machine is left to the others."""


class Listener:
    """Remembers every tweet that the stream brought, and after a `gap` what the home then showed."""

    def __init__(self, reader: Person) -> None:
        self._reader = reader
        self._cursor = ""
        self.seen: set[str] = set()
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        base = str(self._reader.client.base_url).rstrip("/").replace("http", "ws", 1)
        while True:
            url = f"{base}{API}/stream?access_token={self._reader.token}&cursor={self._cursor}"
            try:
                async with websockets.connect(url, subprotocols=[websockets.Subprotocol("aviary.v1")]) as socket:
                    async for text in socket:
                        await self._take(json.loads(text))
            except websockets.InvalidStatus as refused:
                assert refused.response.status_code in (502, 503, 504), refused.response.body
            except (websockets.WebSocketException, OSError):
                pass
            self.connected.clear()
            await asyncio.sleep(_AGAIN_S)

    async def _take(self, message: dict[str, object]) -> None:
        self._cursor = str(message["id"])
        match message:
            case {"type": "hello"}:
                self.connected.set()
            case {"type": "tweet", "data": {"tweet_id": str(tweet_id)}}:
                self.seen.add(tweet_id)
            case {"type": "gap"}:
                self.seen.update(await home_now(self._reader))


async def home_now(reader: Person) -> list[str]:
    """The first page of a home, as soon as it can be read."""
    while True:
        try:
            answer = await reader.request("GET", "/timeline/home", params={"limit": 200})
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code == 200:
            return [tweet["tweet_id"] for tweet in answer.json()["tweets"]]
        await asyncio.sleep(_AGAIN_S)


class Bystander:
    """Reads a home and an author's timeline over and over, whatever is away, and holds each answer against what was promised."""

    def __init__(self, reader: Person, author: Person) -> None:
        self._reader = reader
        self._paths = ("/timeline/home", f"/timeline/user/{author.user_id}")
        self.must: set[str] = set()
        """Settled and not deleted: every answer has them."""
        self.gone: dict[str, float] = {}
        """Deleted, and when that was answered: whoever asks a second later does not see them (promise 4)."""
        self.answers: Counter[str] = Counter()
        self.edge_may_die = False

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            for path in self._paths:
                await self._read(path)
            await asyncio.sleep(_LOOK_S)

    def is_gone(self, tweet_id: str) -> None:
        """Its deletion was answered now."""
        self.gone[tweet_id] = time.monotonic()

    def errors(self) -> Counter[str]:
        """How often the answer was that something is away."""
        return Counter({kind: times for kind, times in self.answers.items() if kind in ("503", "504", "no connection")})

    async def answered(self, times: int) -> None:
        """Wait until so many more reads of each list ended, in whatever way (promise 9)."""
        target = {path: self.answers[path] + times for path in self._paths}
        await until(lambda: all(self.answers[path] >= count for path, count in target.items()), "a read has no answer")

    async def _read(self, path: str) -> None:
        began, must = time.monotonic(), set(self.must)
        try:
            answer = await self._reader.request("GET", path, params={"limit": 200})
        except httpx.TransportError as error:
            assert self.edge_may_die and not isinstance(error, httpx.TimeoutException), repr(error)
            self.answers["no connection"] += 1
        else:
            assert answer.status_code in (200, 503, 504), f"{path}: {answer.status_code} {answer.text}"
            assert answer.status_code != 503 or "retry-after" in answer.headers
            self.answers[str(answer.status_code)] += 1
            if answer.status_code == 200:
                self._judge([tweet["tweet_id"] for tweet in answer.json()["tweets"]], began, must)
        self.answers[path] += 1

    def _judge(self, ids: list[str], began: float, must: set[str]) -> None:
        assert ids == sorted(set(ids), reverse=True), f"out of order or doubled: {ids}"
        still = must & self.must
        # A page of 200 holds the newest of them.
        oldest = ids[-1] if len(ids) == 200 else ""
        missing = {tweet for tweet in still if tweet >= oldest} - set(ids)
        assert not missing, f"missing while something was away: {missing}"
        back = [tweet for tweet in ids if began > self.gone.get(tweet, began) + 1]
        assert not back, f"deleted and shown: {back}"
