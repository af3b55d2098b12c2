"""From a read of a home to the bits beside a page of followers, on real Cassandra and NATS: svc_timeline's part and two svc_graph's."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from aviary.graph.v1.events_pb2 import ReaderSignal
from aviary.graph.v1.graph_pb2 import FollowerShard, GetFollowerPageRequest
from aviary.timeline.v1.events_pb2 import ReaderSeen

from cql_client import Cql
from outbox import CqlOutboxTable, Outbox
from runtime.bus import Consumers, NatsBus
from runtime.config import MeshConfig
from runtime.faults import NO_FAULTS, Faults
from runtime.ids import SystemClock, split_ids, uuid7_of
from svc_graph.activity import ActivityLimits
from svc_graph.away import DAY_MS, day_of
from svc_graph.domain import Pair, changed_together
from svc_graph.noting import keep_reader_day
from svc_timeline.seen import SeenReaders
from svc_timeline.server import SCHEMA
from svc_timeline.states import CqlHomeStates
from tests.integration.graph_mesh import Everybody, GraphProcess, graph_process, until

LIMITS = ActivityLimits(settled_s=0.5)
CLOCK = SystemClock()
LONG_AGO = 1_000


class Death(Exception):
    """The end of a process, where it passes a point."""


class DiesThere(Faults):
    def at(self, point: str) -> None:
        raise Death(point)


@dataclass
class Running:
    """Two processes of svc_graph, and what a process of svc_timeline has."""

    graphs: list[GraphProcess]
    states: CqlHomeStates
    outbox: Outbox  # type: ignore[type-arg]
    beats: list["asyncio.Task[None]"]

    def timeline(self, faults: Faults = NO_FAULTS) -> SeenReaders:
        """A process of svc_timeline that has seen nobody yet."""
        return SeenReaders(self.states, self.outbox, CLOCK, faults)

    async def followed(self, followers: Sequence[bytes]) -> uuid.UUID:
        """An account with such followers, who need not exist."""
        followee, store = uuid.uuid4(), self.graphs[0].deps.store
        pairs = [Pair(uuid.UUID(bytes=one), followee) for one in followers]
        await store.apply(changed_together(await store.edges(pairs), True, CLOCK.now_us()), [])
        return followee

    async def away(self, graph: GraphProcess, followee: uuid.UUID) -> set[bytes]:
        """Who of the followers is told as away."""
        request = GetFollowerPageRequest(user_id=followee.bytes, shard=FollowerShard(), limit=100)
        answer = await graph.stub.GetFollowerPage(request)
        ids, bits = split_ids(answer.follower_ids), answer.active
        return {one for at, one in enumerate(ids) if bits and not bits[at // 8] & (0x80 >> at % 8)}

    async def agree(self, followee: uuid.UUID, away: set[bytes]) -> None:
        """Until both tell these as away."""

        async def all_do() -> bool:
            return all([await self.away(graph, followee) == away for graph in self.graphs])

        await until(all_do)


@pytest.fixture(scope="module")
async def running(mesh_config: MeshConfig) -> AsyncIterator[Running]:
    config = dataclasses.replace(mesh_config, namespace=f"{mesh_config.namespace}act")
    timeline = dataclasses.replace(config, area="timeline")
    async with AsyncExitStack() as stack:
        graphs = [
            await stack.enter_async_context(graph_process(config, Everybody(), activity=LIMITS)) for _ in range(2)
        ]
        cql = await Cql.connect(timeline, SCHEMA)
        stack.push_async_callback(cql.close)
        bus = await NatsBus.connect(timeline)
        stack.push_async_callback(bus.close)
        await bus.declare([ReaderSeen])
        await graphs[0].deps.readers.days.begin(LONG_AGO)
        outbox = Outbox(CqlOutboxTable(cql, CLOCK), bus, CLOCK, NO_FAULTS, (0.5, 1, 60))
        tasks = [asyncio.create_task(outbox.relay())]
        for graph in graphs:
            await graph.bus.listen(ReaderSignal, graph.deps.readers.activity.heard)
            tasks.append(asyncio.create_task(graph.deps.readers.activity.run()))
            tasks.append(asyncio.create_task(Consumers(graph.bus, [keep_reader_day], graph.deps).run()))
        beats = [asyncio.create_task(graph.deps.readers.returns.beat()) for graph in graphs]
        yield Running(graphs, CqlHomeStates(cql, outbox, CLOCK), outbox, beats)
        for task in [*tasks, *beats]:
            task.cancel()
        await asyncio.gather(*tasks, *beats, return_exceptions=True)


def people(count: int) -> list[bytes]:
    """Who registered long ago."""
    return sorted(uuid7_of((LONG_AGO - 1) * DAY_MS, uuid.uuid4().int).bytes for _ in range(count))


async def test_who_reads_after_an_absence_is_active_in_every_process_of_svc_graph(running: Running) -> None:
    """P21: whoever returns is delivered to again."""
    readers, new = people(6), uuid7_of(CLOCK.now_ms(), 5).bytes
    followee = await running.followed([*readers, new])
    await running.agree(followee, set(readers))
    noting = running.timeline().begin(readers[2])
    assert noting is not None
    await noting
    await running.agree(followee, set(readers) - {readers[2]})
    days = await running.graphs[0].deps.readers.days.seen([readers[2]])
    assert days[readers[2]] in (day_of(CLOCK.now_ms()) - 1, day_of(CLOCK.now_ms()))


async def test_who_reads_and_whose_process_dies_before_it_announces_is_active_once_another_relays(
    running: Running,
) -> None:
    readers = people(3)
    followee = await running.followed(readers)
    await running.agree(followee, set(readers))
    noting = running.timeline(DiesThere()).begin(readers[0])
    assert noting is not None
    with pytest.raises(Death):
        await noting
    await running.agree(followee, set(readers[1:]))


async def test_nobody_is_away_while_a_process_of_svc_graph_is_not_heard(running: Running) -> None:
    readers = people(3)
    followee = await running.followed(readers)
    await running.agree(followee, set(readers))
    running.beats[1].cancel()
    await running.agree(followee, set())
    running.beats[1] = asyncio.create_task(running.graphs[1].deps.readers.returns.beat())
    await running.agree(followee, set(readers))
