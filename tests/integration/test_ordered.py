"""Ordered work in several processes over a real NATS: who owns what, and what happens when one is killed, frozen or joins."""

import asyncio
import os
import signal
import zlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aviary.tweet.v1.events_pb2 import TweetCreated

from ordered import OrderedConsumer, Slice
from ordered.leases import TTL_S
from ordered.nats import NatsSource
from runtime.bus import Poison
from runtime.bus.envelope import PARTITIONS
from runtime.config import MeshConfig
from tests.integration.ordered_mesh import AUTHORS, Lost, Mesh, ordered_mesh, split_evenly
from tests.waiting import until


@pytest.fixture
async def mesh(mesh_config: MeshConfig, mesh_env: dict[str, str]) -> AsyncIterator[Mesh]:
    async with ordered_mesh(mesh_config, mesh_env) as mesh:
        yield mesh


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
