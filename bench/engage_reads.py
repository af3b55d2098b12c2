"""What the counts and flags of a page cost beyond the rpc that carries them, everything in Redis; a process of its own reads them.

The handler is called as the rpc calls it, beside one that has its answer ready. It runs on the loop of the services, uvloop.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import uvloop
from aviary.engage.v1.engage_pb2 import GetTweetCountsRequest, GetTweetCountsResponse
from redis import asyncio as redis

from bench import driver
from bench.figures import Ceiling, Row
from bench.stage import NAMESPACE, Stage
from redis_client.line import Line, Replies, Word
from runtime.context import NOBODY
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids
from stack import redis as redis_server
from svc_engage.cache.redis import RedisCountCache
from svc_engage.counting.known import KnownRows
from svc_engage.deps import Deps
from svc_engage.domain.overlay import Both, Stated
from svc_engage.domain.relations import Count, Kind, Subject
from svc_engage.like_rows import LikeRows
from svc_engage.marks import MarkBuilds
from svc_engage.reads import Reads
from svc_engage.rpcs.get_tweet_counts import get_tweet_counts
from svc_engage.store_memory import MemoryEngageStore

NAME = "Counts of a page"
AIM_US = 150.0
PAGE = 20
_IN_FLIGHT = (1, 8)
_TURNS = 10
_BARE = "the same three commands by redis-py's pipeline, nothing unpacked"
_TOKEN = b"t" * 16
_PLACE = 1_700_000_000_000_000


async def run(stage: Stage) -> list[Row]:
    """CPU of a read of 20 tweets' counts and flags: of the service, and apart from it of Redis."""
    config = stage.config(f"{NAMESPACE}_reads", "engage")
    meter, pages = stage.server_meter(redis_server.NAME), stage.sizes.pages
    rows = []
    for in_flight in _IN_FLIGHT:
        before = meter.cpu_s()
        turns = await driver.counts(config.redis_url, config.namespace, pages, in_flight)
        # Ours and the bare way ask Redis for the same; the first turn of each is not timed.
        server_us = sum(meter.since(before).values()) * 1e6 / (2 * (pages + pages // _TURNS))
        ours, bare = sorted(turns, key=lambda turn: turn[0] / turn[1])[_TURNS // 2]
        ceiling = Ceiling(_BARE, bare)
        rows.append(Row(NAME, f"{in_flight} in flight: the service, beyond the rpc", "us", ours, ceiling, AIM_US))
        rows.append(Row(NAME, f"{in_flight} in flight: Redis, apart from that", "us", server_us))
    return rows


class Page:
    """A page of tweets, a fifth of which the viewer likes, all of it in Redis."""

    def __init__(self, line: Line, namespace: str) -> None:
        clock = SystemClock()
        ids, store = Uuid7Ids(clock), MemoryEngageStore()
        cache = RedisCountCache(line, namespace)
        rows = LikeRows(store, cache, cache, KnownRows(), NO_FAULTS)
        self._cache, self._store = cache, store
        self._reads = Reads(store, cache, MarkBuilds(store, cache, clock, ids), rows)
        self._viewer, self._tweets = ids.next().bytes, [ids.next().bytes for _ in range(PAGE)]
        self._others = [ids.next().bytes for _ in range(500)]
        self.request = GetTweetCountsRequest(viewer_id=self._viewer, tweet_ids=self._tweets)

    async def fill(self) -> None:
        """Put everything into Redis."""
        counts = {Subject(one, Kind.LIKES): Count(12, _PLACE) for one in self._tweets}
        await self._store.put_counts(counts)
        liked = {one: Both(like=Stated(True, 5)) for one in [*self._tweets[::5], *self._others]}
        await self._cache.begin_marks(self._viewer, _TOKEN)
        await self._cache.fill_marks(self._viewer, _TOKEN, liked, bytes(16))
        await self.read()

    async def read(self) -> GetTweetCountsResponse:
        """As the rpc does."""
        return await get_tweet_counts(self.request, NOBODY, cast(Deps, self))

    @property
    def reads(self) -> Reads:
        """What the rpc needs of its Deps."""
        return self._reads


async def measure(redis_url: str, namespace: str, pages: int, in_flight: int) -> list[tuple[float, float]]:
    """Microseconds of CPU of this process for a page, turn by turn: by our reads without the rpc, and by the bare commands.

    The ways take turns, so that other programs slow all of them alike.
    """
    line, client = NotedLine(redis_url), redis.from_url(redis_url)
    page = Page(line, f"{namespace}{os.getpid()}")
    await page.fill()
    ready = await page.read()
    asked = line.asked

    async def at_once() -> object:
        return ready

    async def bare() -> object:
        pipe = client.pipeline(transaction=False)
        for words in asked:
            pipe.execute_command(*words)
        return await pipe.execute()

    some, turns = pages // _TURNS, []
    for _ in range(_TURNS + 1):
        ours, none, least = [await _turn_us(read, some, in_flight) for read in (page.read, at_once, bare)]
        turns.append((ours - none, least))
    await line.aclose()
    await client.aclose()
    return turns[1:]


class NotedLine(Line):
    """Knows what it was asked last."""

    asked: tuple[Sequence[Word], ...] = ()

    async def ask(self, *commands: Sequence[Word]) -> Replies:
        """See Line."""
        self.asked = commands
        return await super().ask(*commands)


async def _turn_us(read: Callable[[], Awaitable[object]], pages: int, in_flight: int) -> float:
    async def one_after_another() -> None:
        for _ in range(pages // in_flight):
            await read()

    begun = time.process_time()
    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))
    return (time.process_time() - begun) * 1e6 / (pages // in_flight * in_flight)


def main() -> None:
    """Measure as the line on standard input says, and print it."""
    print(json.dumps(uvloop.run(measure(**json.loads(sys.stdin.readline())))), flush=True)


if __name__ == "__main__":
    main()
