"""The load process: reads an order from standard input, warms up, waits for the word, works, and prints what it saw as JSON.

It decides nothing: what is read or posted, and how often, stands in the order (orders.py).
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict
from typing import Any

import uvloop

from bench import http_client
from bench.arrivals import Arrivals
from bench.figures import percentile
from bench.http_client import Connection
from bench.liking import Liking
from bench.orders import TWEETS_PATH, Latencies, Liked, LikeOrder, Posted, PostOrder, ReadOrder

WARM = "warm"


def latencies(taken_s: list[float], seconds: float) -> Latencies:
    """The summary of single times."""
    p50, p95, p99 = (percentile(taken_s, share) * 1000 for share in (0.50, 0.95, 0.99))
    return Latencies(len(taken_s), seconds, p50, p95, p99)


async def read(order: ReadOrder) -> Latencies:
    """Keep every client busy until the time is over. Raises RuntimeError for an answer that is not 200."""
    connections = [await Connection.open(order.host, order.port) for _ in range(order.clients)]

    async def work(number: int, seconds: float) -> list[float]:
        token = order.tokens[number % len(order.tokens)]
        request = http_client.get(order.host, order.path, token, order.accept_encoding)
        taken = []
        end = time.perf_counter() + seconds
        while (started := time.perf_counter()) < end:
            status, body = await connections[number].ask(request)
            taken.append(time.perf_counter() - started)
            if status != 200:
                raise RuntimeError(f"{order.path} answers {status}: {body[:200]!r}")
        return taken

    async def everybody(seconds: float) -> list[float]:
        parts = await asyncio.gather(*(work(number, seconds) for number in range(order.clients)))
        return [taken for part in parts for taken in part]

    await everybody(order.warm_s)
    await told_to_go()
    started = time.perf_counter()
    taken = await everybody(order.seconds)
    return latencies(taken, time.perf_counter() - started)


class Posting:
    """Posts the texts of an order, over as many connections as are needed at once."""

    def __init__(self, order: PostOrder, arrivals: Arrivals) -> None:
        self._order = order
        self._arrivals = arrivals
        self._idle: list[Connection] = []
        self._number = 0

    async def run(self, count: int) -> list[float]:
        """Post so many; seconds from the moment at which each was due to its answer."""
        if not self._order.rate:
            return [await self._post(time.perf_counter()) for _ in range(count)]
        started = time.perf_counter()
        tasks = []
        for number in range(count):
            due = started + number / self._order.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._post(due)))
        return await asyncio.gather(*tasks)

    async def _post(self, due: float) -> float:
        order = self._order
        number = self._number
        self._number += 1
        body = json.dumps({"content": order.texts[number % len(order.texts)]}).encode()
        token = order.authors[number % len(order.authors)]
        connection = self._idle.pop() if self._idle else await Connection.open(order.host, order.port)
        status, answer = await connection.ask(http_client.post(order.host, TWEETS_PATH, token, body))
        taken = time.perf_counter() - due
        self._idle.append(connection)
        if status != 201:
            raise RuntimeError(f"a post was answered {status}: {answer[:200]!r}")
        self._arrivals.posted(json.loads(answer)["tweet_id"], due)
        return taken


async def post(order: PostOrder) -> Posted:
    """Post with sockets open, then wait for what is still on its way to them."""
    arrivals = Arrivals()
    posting = Posting(order, arrivals)
    await arrivals.open(order.host, order.port, order.readers)
    await posting.run(order.warm)
    await arrivals.complete()
    arrivals.forget()
    await told_to_go()
    started = time.perf_counter()
    taken = await posting.run(order.count)
    seconds = time.perf_counter() - started
    missing = await arrivals.complete()
    await arrivals.close()
    seen = arrivals.taken_s()
    return Posted(latencies(taken, seconds), latencies(seen, seconds) if seen else None, missing)


async def like(order: LikeOrder) -> Liked:
    """Like at the rate of the order, and watch single likes meanwhile."""
    liking = Liking(order)
    await liking.run(order.warm)
    await told_to_go()
    started = time.perf_counter()
    watching = asyncio.create_task(liking.watch())
    taken = await liking.run(order.count)
    seconds = time.perf_counter() - started
    seen = await watching
    return Liked(latencies(taken, seconds), latencies(seen, seconds) if seen else None)


async def told_to_go() -> None:
    """Say that the warm-up is over and wait for the line that starts the measured part."""
    print(WARM, flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def main() -> None:
    """Do the order on the first line of standard input."""
    kind, values = json.loads(sys.stdin.readline())
    seen: Any
    match kind:
        case "read":
            seen = await read(ReadOrder(**values))
        case "like":
            seen = await like(LikeOrder(**values))
        case _:
            seen = await post(PostOrder(**values))
    print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
