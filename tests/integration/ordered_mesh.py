"""A bus, processes of ordered work and what they note, for the tests of it."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aviary.tweet.v1.events_pb2 import TweetCreated
from google.protobuf.message import Message
from redis.asyncio import Redis

from ordered import Slice
from ordered.leases import TTL_S, Roll
from runtime.bus import NatsBus
from runtime.bus.envelope import PARTITIONS
from runtime.config import MeshConfig

NUMBERS = itertools.count()
AUTHORS = [bytes([n]) * 16 for n in range(60)]


class Mesh:
    """A bus to publish on, the processes that work, and the journal they write."""

    def __init__(self, bus: NatsBus, redis: Redis, config: MeshConfig, env: dict[str, str]) -> None:
        self.bus = bus
        self.config = config
        self.published: list[str] = []
        self._redis = redis
        self._namespace = config.namespace
        self._env = {**os.environ, **env, "AVIARY_NAMESPACE": config.namespace}
        self._env |= {"AVIARY_TEST_PORT": "0", "AVIARY_TEST_METRICS_PORT": "0"}
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(self, name: str) -> asyncio.subprocess.Process:
        """Begin a process of ordered work."""
        words = ("-m", "tests.integration.ordered_process", name, str(TTL_S))
        process = await asyncio.create_subprocess_exec(sys.executable, *words, env=self._env)
        self._processes.append(process)
        return process

    async def publish(self) -> None:
        """One fact of each author."""
        events = [TweetCreated(event_id=os.urandom(16), tweet_id=b"t" * 16, author_id=author) for author in AUTHORS]
        await self.bus.publish(*events)
        self.published += [event.event_id.hex() for event in events]

    async def lines(self) -> list[dict[str, Any]]:
        """The journal so far."""
        return [json.loads(line) for line in await self._redis.lrange(f"{self._namespace}:journal", 0, -1)]

    async def handled(self) -> list[str]:
        """Event ids in the order of the journal."""
        return [event_id for line in await self.lines() for event_id in line["ids"]]

    async def all_handled(self) -> bool:
        """Whether nothing is left."""
        return set(self.published) <= set(await self.handled())

    async def shares(self) -> Counter[int]:
        """How many processes own how many partitions."""
        with contextlib.suppress(Exception):
            entry = await (await self.bus._js.key_value(f"{self._namespace}_leases")).get("journal")
            roll = Roll(**json.loads(entry.value or b"{}"))
            return Counter(len(owned) for owned in roll.owners.values())
        return Counter()

    async def close(self) -> None:
        """Kill what lives and forget what was kept."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        for stream in await self.bus._js.streams_info():
            if self._namespace in (stream.config.name or ""):
                await self.bus._js.delete_stream(stream.config.name or "")
        await self.bus.close()
        await self._redis.aclose()


@contextlib.asynccontextmanager
async def ordered_mesh(mesh_config: MeshConfig, mesh_env: dict[str, str]) -> AsyncIterator[Mesh]:
    """A namespace of its own on the servers of the run."""
    config = dataclasses.replace(mesh_config, namespace=f"{mesh_config.namespace}r{next(NUMBERS)}")
    bus = await NatsBus.connect(config)
    await bus.declare([TweetCreated])
    mesh = Mesh(bus, Redis.from_url(config.redis_url), config, mesh_env)
    yield mesh
    await mesh.close()


def split_evenly(among: int) -> Counter[int]:
    """The shares of so many processes."""
    share = -(-PARTITIONS // among)
    return Counter([share] * (among - 1) + [PARTITIONS - share * (among - 1)])


class Lost:
    """Ordered work that was far when the stream was not."""

    durable = "lost"
    messages: Sequence[type[Message]] = (TweetCreated,)

    def __init__(self, positions: dict[int, int]) -> None:
        self.stored = positions
        self.pieces: list[Slice] = []

    async def load(self, partition: int) -> int:
        return self.stored.get(partition, 0)

    async def positions(self) -> Mapping[int, int]:
        return self.stored

    async def handle(self, piece: Slice) -> None:
        self.pieces.append(piece)
        self.stored[piece.partition] = piece.until
