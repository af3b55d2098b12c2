"""What an outbox promises, sentence by sentence, in memory and on the real server."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aviary.tweet.v1.events_pb2 import TweetCreated

from cql_client import Cql
from outbox import CqlOutbox, CqlOutboxTable, Outbox
from runtime.config import MeshConfig
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from tests.outbox_schema import OUTBOX_TABLES
from tests.waiting import until


class World:
    """An outbox and the way a store writes into it."""

    def __init__(self, bus: MemoryBus, outbox: CqlOutbox | MemoryOutbox, cql: Cql | None) -> None:
        self.bus = bus
        self.outbox = outbox
        self._cql = cql

    async def write(self, event: TweetCreated) -> None:
        """Store an announcement as its owner does."""
        if isinstance(self.outbox, MemoryOutbox):
            self.outbox.write(event)
        elif self._cql is not None:
            await self._cql.logged_batch([self.outbox.row(event)])

    async def rows(self) -> int:
        return (await self.outbox.backlog())[0]

    async def empty(self) -> bool:
        return await self.rows() == 0


@pytest.fixture(scope="session")
async def cql(mesh_config: MeshConfig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cql]:
    folder: Path = tmp_path_factory.mktemp("outbox")
    (folder / "0001_outbox.cql").write_text(OUTBOX_TABLES, encoding="utf-8")
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="outbox"), folder)
    yield opened
    await opened.close()


@pytest.fixture
async def bus() -> MemoryBus:
    bus = MemoryBus()
    await bus.declare([TweetCreated])
    return bus


@pytest.fixture
async def emptied(cql: Cql) -> Cql:
    await cql.execute(cql.prepare("TRUNCATE outbox"))
    return cql


@pytest.fixture(params=["memory", "cql"])
def world(request: pytest.FixtureRequest, bus: MemoryBus) -> World:
    if request.param == "memory":
        return World(bus, MemoryOutbox(bus, SystemClock()), None)
    opened: Cql = request.getfixturevalue("emptied")
    return World(
        bus, Outbox(CqlOutboxTable(opened, SystemClock()), bus, SystemClock(), NO_FAULTS, (0.05, 0.1, 0.2)), opened
    )


@pytest.fixture
async def relaying(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(world.outbox.relay())
    yield
    task.cancel()


def created() -> TweetCreated:
    return TweetCreated(event_id=os.urandom(16), tweet_id=os.urandom(16), author_id=os.urandom(16))


async def test_an_announcement_is_published_soon_and_its_row_goes(world: World) -> None:
    event = created()
    await world.write(event)
    assert await world.rows() == 1
    await world.outbox.publish_soon(event)
    await until(world.empty)
    assert world.bus.published == [event]


async def test_several_announcements_are_published_together(world: World) -> None:
    events = [created() for _ in range(5)]
    for event in events:
        await world.write(event)
    await asyncio.gather(*(world.outbox.publish_soon(event) for event in events))
    await until(world.empty)
    assert sorted(e.event_id for e in events) == sorted(e.event_id for e in world.bus.published)


async def test_while_the_bus_is_down_publishing_does_not_fail_and_the_row_stays(world: World) -> None:
    event = created()
    await world.write(event)
    world.bus.down = True
    await world.outbox.publish_soon(event)
    assert await world.rows() == 1
    assert world.bus.published == []


async def test_what_the_bus_refused_the_relay_publishes_when_it_is_back(world: World, relaying: None) -> None:
    event = created()
    await world.write(event)
    world.bus.down = True
    await world.outbox.publish_soon(event)
    world.bus.down = False
    await until(world.empty)
    assert world.bus.published == [event]


async def test_the_relay_publishes_what_a_crash_left(world: World, relaying: None) -> None:
    """Written, and the process died before it published."""
    event = created()
    await world.write(event)
    await until(world.empty)
    assert world.bus.published == [event]


async def test_writing_and_publishing_again_announces_once(world: World) -> None:
    event = created()
    for _ in range(2):
        await world.write(event)
        await world.outbox.publish_soon(event)
    await until(world.empty)
    assert world.bus.published == [event]


async def test_the_age_of_the_backlog_is_that_of_its_oldest_row(world: World) -> None:
    assert await world.outbox.backlog() == (0, 0)
    await world.write(created())

    async def aged() -> bool:
        rows, age_ms = await world.outbox.backlog()
        return rows == 1 and age_ms > 0

    await until(aged)
