"""A process that does ordered work, for tests which kill and freeze it; its position and its journal lie in Redis."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence

from aviary.tweet.v1.events_pb2 import TweetCreated
from google.protobuf.message import Message
from redis.asyncio import Redis

from ordered import OrderedConsumer, Slice
from ordered.nats import NatsSource
from runtime.bus import NatsBus
from runtime.config import Env, MeshConfig


class RedisJournal:
    """Notes each slice and the position in one transaction."""

    durable = "journal"
    messages: Sequence[type[Message]] = (TweetCreated,)

    def __init__(self, redis: Redis, namespace: str, name: str) -> None:
        self._redis = redis
        self._name = name
        self._positions, self._journal = f"{namespace}:positions", f"{namespace}:journal"

    async def load(self, partition: int) -> int:
        """The position that any process stored last."""
        return int(await self._redis.hget(self._positions, str(partition)) or 0)

    async def positions(self) -> dict[int, int]:
        """Those that any process stored."""
        stored = await self._redis.hgetall(self._positions)
        return {int(number): int(place) for number, place in stored.items()}

    async def handle(self, piece: Slice) -> None:
        """One line of the journal for each slice."""
        ids = [item.event.event_id.hex() for item in piece.items]
        line = {
            "name": self._name,
            "partition": piece.partition,
            "epoch": piece.epoch,
            "ids": ids,
            "until": piece.until,
        }
        async with self._redis.pipeline(transaction=True) as both:
            both.hset(self._positions, str(piece.partition), piece.until)
            both.rpush(self._journal, json.dumps({**line, "time": time.time(), "lost": piece.lost}))
            await both.execute()


async def main() -> None:
    """Run until killed: `ordered_process.py NAME TTL_S`, with the environment of a process called test."""
    config = MeshConfig.read("test", Env(os.environ))
    bus = await NatsBus.connect(config)
    redis = Redis.from_url(config.redis_url)
    work = RedisJournal(redis, config.namespace, sys.argv[1])
    await OrderedConsumer(bus, NatsSource(bus, float(sys.argv[2])), work).run()


if __name__ == "__main__":
    asyncio.run(main())
