"""Ordered work in several processes over a real NATS: who owns what, and what happens when one is killed, frozen or joins."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import signal
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from aviary.mesh.v1 import mesh_pb2
from aviary.tweet.v1.events_pb2 import TweetCreated
from google.protobuf.message import Message
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from backlog import Backlog
from ordered import OrderedConsumer, Slice
from ordered.leases import TTL_S, Roll
from ordered.nats import NatsSource
from ordered.partitions import Partitions
from runtime.bus import NatsBus, Poison
from runtime.bus.envelope import PARTITIONS
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from tests.waiting import until

NUMBERS = itertools.count()
AUTHORS = [bytes([n]) * 16 for n in range(60)]


class Mesh:
    """A bus to publish on, the processes that work, and the journal they write."""

    def __init__(self, bus: NatsBus, redis: Redis, config: MeshConfig, env: dict[str, str]) -> None:
        self.bus = bus
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


@pytest.fixture
async def mesh(mesh_config: MeshConfig, mesh_env: dict[str, str]) -> AsyncIterator[Mesh]:
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


async def in_order(mesh: Mesh) -> bool:
    """Whether the journal has each partition's facts in the order of their stream."""
    at: dict[int, int] = defaultdict(int)
    for line in await mesh.lines():
        if line["until"] < at[line["partition"]]:
            return False
        at[line["partition"]] = line["until"]
    return True


async def test_two_processes_share_the_partitions_a_third_joins_and_order_is_kept(mesh: Mesh) -> None:
    await mesh.start("a")
    await mesh.start("b")
    await until(lambda: shared(mesh, 2))
    await mesh.publish()
    await mesh.start("c")
    while not await shared(mesh, 3):
        await mesh.publish()
        await until(mesh.all_handled)
    await mesh.publish()
    await until(mesh.all_handled)
    assert {line["name"] for line in await mesh.lines()} == {"a", "b", "c"}
    assert await in_order(mesh)
    # Who gives up a partition has finished what it had in hand: nothing came twice.
    assert max(Counter(await mesh.handled()).values()) == 1


async def shared(mesh: Mesh, among: int) -> bool:
    return await mesh.shares() == split_evenly(among)


async def test_what_a_killed_process_owned_is_taken_over_within_the_lease(mesh: Mesh) -> None:
    killed = await mesh.start("killed")
    await mesh.start("other")
    await until(lambda: shared(mesh, 2))
    await mesh.publish()
    await until(mesh.all_handled)
    killed.send_signal(signal.SIGKILL)
    await killed.wait()
    loop = asyncio.get_running_loop()
    dead_at = loop.time()
    await mesh.publish()
    await until(lambda: shared(mesh, 1))
    await until(mesh.all_handled)
    assert loop.time() - dead_at < TTL_S
    assert await in_order(mesh)


async def test_a_process_that_was_frozen_shows_by_its_epoch_that_it_is_stale(mesh: Mesh) -> None:
    frozen = await mesh.start("frozen")
    await until(lambda: mesh_owned_by_one(mesh))
    await mesh.publish()
    await until(mesh.all_handled)
    frozen.send_signal(signal.SIGSTOP)
    await mesh.start("other")
    await mesh.publish()
    await until(mesh.all_handled)
    frozen.send_signal(signal.SIGCONT)
    await until(lambda: shared(mesh, 2))
    await mesh.publish()
    await until(mesh.all_handled)
    epochs: dict[int, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for line in await mesh.lines():
        epochs[line["partition"]][line["name"]].add(line["epoch"])
    taken_over = [names for names in epochs.values() if {"frozen", "other"} <= names.keys()]
    assert taken_over
    for names in taken_over:
        assert min(names["frozen"]) < min(names["other"])
        assert names["frozen"].isdisjoint(names["other"])


async def mesh_owned_by_one(mesh: Mesh) -> bool:
    return await shared(mesh, 1)


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


async def test_messages_that_aged_out_unread_are_noticed_and_told(mesh: Mesh) -> None:
    stream = f"{mesh.bus.streams.namespace}_tweets"
    for _ in range(3):
        await mesh.publish()
    behind = zlib.crc32(AUTHORS[0]) % PARTITIONS
    info = await mesh.bus._js.stream_info(stream)
    assert info.created is not None
    made = int(info.created.timestamp() * 1_000_000)
    await mesh.bus._js.purge_stream(stream, seq=info.state.last_seq - 10)
    work = Lost(dict.fromkeys(range(PARTITIONS), made + info.state.last_seq) | {behind: made + 1})
    task = asyncio.create_task(OrderedConsumer(mesh.bus, NatsSource(mesh.bus, TTL_S), work).run())
    await until(lambda: work.stored[behind] == made + info.state.last_seq)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [piece.partition for piece in work.pieces if piece.lost] == [behind]


async def test_a_stream_that_was_made_again_is_read_from_its_beginning_and_told(mesh: Mesh) -> None:
    stream = f"{mesh.bus.streams.namespace}_tweets"
    work = Lost({})
    await mesh.publish()
    task = asyncio.create_task(OrderedConsumer(mesh.bus, NatsSource(mesh.bus, TTL_S), work).run())

    def ids() -> set[str]:
        return {item.event.event_id.hex() for piece in work.pieces for item in piece.items}

    await until(lambda: set(mesh.published) <= ids())
    await mesh.bus._js.delete_stream(stream)
    await mesh.bus.declare([TweetCreated])
    await mesh.publish()
    await until(lambda: set(mesh.published) <= ids())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert any(piece.lost for piece in work.pieces)
    places = [item.at for piece in work.pieces for item in piece.items if item.event.author_id == AUTHORS[0]]
    assert places == sorted(places)


async def test_a_quiet_partition_moves_its_position_when_it_is_taken_over(mesh: Mesh) -> None:
    await mesh.publish()
    work = Lost({})
    task = asyncio.create_task(OrderedConsumer(mesh.bus, NatsSource(mesh.bus, TTL_S), work).run())
    await until(lambda: len(work.stored) == PARTITIONS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    last = (await mesh.bus._js.stream_info(f"{mesh.bus.streams.namespace}_tweets")).state.last_seq
    used = {zlib.crc32(author) % PARTITIONS for author in AUTHORS}
    assert {at % 1_000_000_000 for p, at in work.stored.items() if p not in used} == {
        max(work.stored.values()) % 1_000_000_000
    }
    assert last == len(AUTHORS)


async def test_a_position_that_another_owner_stores_meanwhile_is_no_loss(mesh: Mesh) -> None:
    """Whoever has lost the lease may work for a moment beside the new owner, who must not begin at the first message again."""
    await mesh.publish()
    stream = f"{mesh.bus.streams.namespace}_tweets"
    behind = zlib.crc32(AUTHORS[0]) % PARTITIONS

    class Overtaken(Lost):
        async def load(self, partition: int) -> int:
            if partition == behind and partition not in self.stored:
                await mesh.bus.publish(TweetCreated(event_id=os.urandom(16), author_id=AUTHORS[0]))
                info = await mesh.bus._js.stream_info(stream)
                assert info.created is not None
                self.stored[partition] = int(info.created.timestamp() * 1_000_000) + info.state.last_seq
            return await super().load(partition)

    work = Overtaken({})
    task = asyncio.create_task(OrderedConsumer(mesh.bus, NatsSource(mesh.bus, TTL_S), work).run())
    await until(lambda: len(work.stored) == PARTITIONS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not any(piece.lost for piece in work.pieces)
    assert [piece for piece in work.pieces if piece.partition == behind and piece.items] == []


async def test_a_partition_whose_work_ended_by_something_unforeseen_is_begun_anew(mesh: Mesh) -> None:
    class Odd:
        """The bus, but the first letter that is set aside fails as nothing should."""

        producer, tries = mesh.bus.producer, 0

        async def bury(self, *letter: Any) -> None:
            self.tries += 1
            if self.tries == 1:
                raise ValueError("no such thing")
            await mesh.bus.bury(*letter)

    class Refusing(Lost):
        async def handle(self, piece: Slice) -> None:
            if piece.items and piece.items[0].event.author_id == AUTHORS[0]:
                raise Poison("never")
            await super().handle(piece)

    await mesh.publish()
    bus, work = Odd(), Refusing({})
    consumer = OrderedConsumer(bus, NatsSource(mesh.bus, TTL_S), work)  # type: ignore[arg-type]  # all that it uses of a bus
    task = asyncio.create_task(consumer.run())
    await until(lambda: bus.tries == 2)
    await until(lambda: len(work.stored) == PARTITIONS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Still(Lost):
    """Ordered work whose second fact of one author waits for a dependency."""

    durable = "still"
    away = True

    async def handle(self, piece: Slice) -> None:
        if self.away and any(item.event.author_id == AUTHORS[0] for item in piece.items):
            raise Unavailable("away")
        await super().handle(piece)


async def test_settling_waits_for_ordered_work_and_a_partition_that_stands_still_shows_how_long(mesh: Mesh) -> None:
    """P59: any process of the service answers, also one that owns nothing."""
    work = Still({})
    backlog = Backlog([], [OrderedConsumer(mesh.bus, NatsSource(mesh.bus, TTL_S), work)])
    consumer = OrderedConsumer(mesh.bus, NatsSource(mesh.bus, TTL_S), work, look_s=0.05, stuck_s=0.2)
    task = asyncio.create_task(consumer.run())
    await mesh.publish()
    await mesh.publish()

    async def left() -> mesh_pb2.GetBacklogResponse:
        return await backlog.GetBacklog(mesh_pb2.GetBacklogRequest(), None)  # type: ignore[arg-type]  # not looked at

    async def others_are_handled() -> bool:
        return [c.pending for c in (await left()).consumers] == [2]

    await until(others_are_handled)
    await until(lambda: gauge("aviary_mesh_consumer_oldest_seconds", "still") > 0.5)
    assert (await left()).lag_ms > 500
    # It has it in hand: nothing is stuck, and the process is well.
    await consumer.check()
    assert gauge("aviary_mesh_consumer_stuck_total", "still") == 0
    work.away = False

    async def settled() -> bool:
        return not any(c.pending for c in (await left()).consumers)

    await until(settled)
    assert (await left()).lag_ms == 0
    assert ids_of(work) == set(mesh.published)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_partition_of_which_nothing_comes_is_read_anew_and_then_readiness_goes_red(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P59, P81."""
    work = Lost({})
    consumer = OrderedConsumer(mesh.bus, NatsSource(mesh.bus, TTL_S), work, look_s=0.05, stuck_s=0.2)
    task = asyncio.create_task(consumer.run())
    await mesh.publish()
    await until(lambda: set(mesh.published) <= ids_of(work))
    # A reader that drops what it reads: as one whose broker has forgotten it, and says nothing.
    monkeypatch.setattr(Partitions, "_add", lambda *_: None)
    await mesh.publish()
    await until(lambda: gauge("aviary_mesh_consumer_stuck_total", "lost") >= 2)
    with pytest.raises(Unavailable, match="lost: messages wait and none is delivered"):
        await consumer.check()
    monkeypatch.undo()
    await until(lambda: set(mesh.published) <= ids_of(work))
    await until(lambda: well(consumer))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def well(consumer: OrderedConsumer) -> bool:
    try:
        await consumer.check()
    except Unavailable:
        return False
    return True


def ids_of(work: Lost) -> set[str]:
    return {item.event.event_id.hex() for piece in work.pieces for item in piece.items}


def gauge(name: str, durable: str) -> float:
    """The value of a metric of a durable."""
    return REGISTRY.get_sample_value(name, {"durable": durable}) or 0.0
