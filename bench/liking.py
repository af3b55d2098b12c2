"""Likes in the load process: sent at a steady rate, and single ones watched until others see them. The order is orders.LikeOrder."""

import asyncio
import json
import time

from bench import http_client
from bench.http_client import Connection
from bench.orders import TWEETS_PATH, LikeOrder

_POLL_S = 0.02
_PATIENCE_S = 30.0
_IDLE_S = 2.0


class Liking:
    """Carries out an order, over as many connections as are needed at once."""

    def __init__(self, order: LikeOrder) -> None:
        self._order = order
        self._idle: list[tuple[float, Connection]] = []
        self._number = 0

    async def run(self, count: int) -> list[float]:
        """So many likes and ends of likes; seconds from the moment at which each was due to its answer."""
        started = time.perf_counter()
        tasks = []
        for number in range(count):
            due = started + number / self._order.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._next(due)))
        return await asyncio.gather(*tasks)

    async def watch(self) -> list[float]:
        """Like each of the watched tweets once; seconds until another person read a count with it."""
        order, taken = self._order, []
        for tweet in order.watched:
            due = time.perf_counter()
            await self._ask(http_client.post(order.host, f"{TWEETS_PATH}/{tweet}/like", order.likers[0], b"{}"))
            look = http_client.get(order.host, f"{TWEETS_PATH}/{tweet}", order.watcher)
            while not json.loads(await self._ask(look))["likes_count"]:
                if time.perf_counter() > due + _PATIENCE_S:
                    raise RuntimeError(f"a like of {tweet} is not counted after {_PATIENCE_S:g} s")
                await asyncio.sleep(_POLL_S)
            taken.append(time.perf_counter() - due)
        return taken

    async def _next(self, due: float) -> float:
        order, number = self._order, self._number
        self._number += 1
        pair, likers = number // len(order.likers), len(order.likers)
        tweet = order.tweets[pair % len(order.tweets)]
        # By the round through all pairs: first everybody likes everything, then nothing.
        likes = pair // len(order.tweets) % 2 == 0
        path, token = f"{TWEETS_PATH}/{tweet}/like", order.likers[number % likers]
        ask = http_client.post(order.host, path, token, b"{}") if likes else http_client.delete(order.host, path, token)
        await self._ask(ask)
        return time.perf_counter() - due

    async def _ask(self, request: bytes) -> bytes:
        connection = self._free() or await Connection.open(self._order.host, self._order.port)
        status, body = await connection.ask(request)
        self._idle.append((time.perf_counter(), connection))
        if status not in (200, 201):
            raise RuntimeError(f"{request[:80]!r} was answered {status}: {body[:200]!r}")
        return body

    def _free(self) -> Connection | None:
        """The connection that was used last. Those that nobody needed for long the server may be closing just now."""
        if self._idle and time.perf_counter() - self._idle[-1][0] < _IDLE_S:
            return self._idle.pop()[1]
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()
        return None
