"""How far ordered work is behind, and what the watch over it does, over a real NATS."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aviary.mesh.v1 import mesh_pb2
from nats.js.errors import NotFoundError
from prometheus_client import REGISTRY

from backlog import Backlog
from ordered import OrderedConsumer, Slice
from ordered.leases import TTL_S, Roll
from ordered.nats import NatsSource
from ordered.partitions import Partitions
from runtime.bus import NatsBus
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from tests.integration.ordered_mesh import AUTHORS, Lost, Mesh, ordered_mesh, split_evenly
from tests.waiting import until


@pytest.fixture
async def mesh(mesh_config: MeshConfig, mesh_env: dict[str, str]) -> AsyncIterator[Mesh]:
    async with ordered_mesh(mesh_config, mesh_env) as mesh:
        yield mesh


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


async def test_processes_that_stop_together_leave_nothing_to_expire(mesh: Mesh) -> None:
    config, tasks = mesh.config, []
    buses = [await NatsBus.connect(config) for _ in range(5)]
    for bus in buses:
        tasks.append(asyncio.create_task(OrderedConsumer(bus, NatsSource(bus, TTL_S), Lost({})).run()))
    await until(lambda: split_among(mesh, 5))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await roll_of(mesh, "lost")).owners == {}
    for bus in buses:
        await bus.close()


async def split_among(mesh: Mesh, processes: int) -> bool:
    return Counter(map(len, (await roll_of(mesh, "lost")).owners.values())) == split_evenly(processes)


async def roll_of(mesh: Mesh, durable: str) -> Roll:
    with contextlib.suppress(NotFoundError):
        entry = await (await mesh.bus._js.key_value(f"{mesh.bus.streams.namespace}_leases")).get(durable)
        return Roll(**json.loads(entry.value or b"{}"))
    return Roll()
