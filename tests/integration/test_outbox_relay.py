"""The passes of the relay on real tables, with a clock of the test: what a crash left, what came late, what grew while it was away."""

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aviary.tweet.v1.events_pb2 import TweetCreated

from cql_client import Cql, Statement
from outbox import CqlOutboxTable, Outbox, Relay
from outbox.table import BUCKET_MS, ROWS_PER_READ
from runtime.bus import Envelope, NatsBus
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock
from simulation.bus import MemoryBus
from tests.outbox_schema import OUTBOX_TABLES

AGES_S = (15, 60, 900)


class Clock:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.ms = SystemClock().now_ms()

    def now_ms(self) -> int:
        return self.ms

    def now_us(self) -> int:
        return self.ms * 1000

    def go_on(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


class World:
    """One outbox, its bus and its time."""

    def __init__(self, cql: Cql) -> None:
        self.cql = cql
        self.clock = Clock()
        self.bus = MemoryBus()
        self.table = CqlOutboxTable(cql, self.clock)
        self.outbox = Outbox(self.table, self.bus, self.clock, NO_FAULTS, AGES_S)

    def relay(self) -> Relay:
        """A relay as a process has it that starts now."""
        return Relay(self.table, self.bus, self.clock, NO_FAULTS, AGES_S)

    async def write(self, *events: TweetCreated, timestamp_us: int | None = None) -> None:
        """Store announcements; then the process dies."""
        for event in events:
            await self.cql.logged_batch([self.outbox.row(event)], timestamp_us)

    async def rows(self) -> int:
        found = await self.cql.execute(self.cql.prepare("SELECT event_id FROM outbox"))
        return len(found)


@pytest.fixture(scope="session")
async def cql(mesh_config: MeshConfig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cql]:
    folder: Path = tmp_path_factory.mktemp("relay")
    (folder / "0001_outbox.cql").write_text(OUTBOX_TABLES, encoding="utf-8")
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="relay"), folder)
    yield opened
    await opened.close()


@pytest.fixture
async def world(cql: Cql) -> World:
    await cql.execute(cql.prepare("TRUNCATE outbox"))
    await cql.execute(cql.prepare("TRUNCATE outbox_watermark"))
    world = World(cql)
    await world.bus.declare([TweetCreated])
    return world


def created() -> TweetCreated:
    return TweetCreated(event_id=os.urandom(16), tweet_id=os.urandom(16), author_id=os.urandom(16))


async def test_a_row_is_relayed_when_it_has_the_age_of_the_first_pass_and_not_before(world: World) -> None:
    """Younger rows are still being published by whoever wrote them."""
    relay, event = world.relay(), created()
    await world.write(event)
    world.clock.go_on(14)
    await relay.pass_once()
    assert world.bus.published == []
    world.clock.go_on(2)
    await relay.pass_once()
    assert world.bus.published == [event]
    assert await world.rows() == 0


async def test_the_watermark_moves_only_after_the_last_pass(world: World) -> None:
    relay, began = world.relay(), world.clock.ms
    for seconds in (16, 61, 700):
        await relay.pass_once()
        world.clock.ms = began + seconds * 1000
    await relay.pass_once()
    assert await world.table.watermark() <= began // BUCKET_MS
    world.clock.ms = began + 920_000
    await relay.pass_once()
    assert began // BUCKET_MS < await world.table.watermark() <= (began + 20_000) // BUCKET_MS


@pytest.mark.parametrize("seen_by", [1, 2], ids=["second pass", "third pass"])
async def test_a_row_that_a_batch_log_replays_late_is_found_by_a_later_pass(world: World, seen_by: int) -> None:
    """P9: the row lands in the bucket of its writing, which the passes before have left behind."""
    relay, event = world.relay(), created()
    statement, params = world.outbox.row(event)
    for number in range(seen_by):
        world.clock.go_on(AGES_S[number] + 21)
        await relay.pass_once()
    await world.cql.execute(statement, params)
    await relay.pass_once()
    world.clock.go_on(AGES_S[seen_by] + 21)
    await relay.pass_once()
    assert world.bus.published == [event]
    assert await world.rows() == 0


class Flaky(MemoryBus):
    """A bus that fails once when told to."""

    fails = False

    async def send(self, envelopes: Sequence[Envelope]) -> list[int]:
        if self.fails:
            self.fails = False
            raise Unavailable("away for a moment", retry_after_s=1)
        return await super().send(envelopes)


@pytest.mark.parametrize("restarted", [True, False], ids=["new process", "same process"])
async def test_a_row_that_a_batch_log_replays_after_an_outage_of_hours_is_found(world: World, restarted: bool) -> None:
    """P9: a database that was away replays only when it is back, after the relay has passed the bucket as one long past."""
    world.bus = Flaky()
    await world.bus.declare([TweetCreated])
    relay, event = world.relay(), created()
    await relay.pass_once()
    statement, params = world.outbox.row(event)
    world.clock.go_on(7_200)
    if restarted:
        relay = world.relay()
    else:
        await world.write(created())
        world.clock.go_on(16)
        world.bus.fails = True
        with pytest.raises(Unavailable):
            await relay.pass_once()
    await relay.pass_once()
    await relay.pass_once()
    await world.cql.execute(statement, params)
    world.clock.go_on(AGES_S[-1] + 1)
    await relay.pass_once()
    assert event in world.bus.published
    assert await world.rows() == 0
    assert await world.table.watermark() > params[1]


async def test_a_relay_that_was_away_for_hours_finds_everything(world: World) -> None:
    await world.relay().pass_once()
    events = []
    for _ in range(4):
        events.append(created())
        await world.write(events[-1])
        world.clock.go_on(2_000)
    world.clock.go_on(7 * 3600)
    await world.relay().pass_once()
    assert sorted(e.event_id for e in world.bus.published) == sorted(e.event_id for e in events)


async def test_a_relay_that_never_ran_before_begins_where_the_tables_were_made(world: World) -> None:
    event = created()
    await world.write(event)
    world.clock.go_on(5_000)
    await world.relay().pass_once()
    assert world.bus.published == [event]


async def test_while_the_bus_is_down_no_pass_goes_on(world: World) -> None:
    relay, event = world.relay(), created()
    await relay.pass_once()
    await world.write(event)
    world.bus.down = True
    for _ in range(3):
        world.clock.go_on(1_000)
        with pytest.raises(Unavailable):
            await relay.pass_once()
    assert await world.outbox.backlog() == (1, 3_000_000)
    world.bus.down = False
    await relay.pass_once()
    assert world.bus.published == [event]
    assert await world.outbox.backlog() == (0, 0)


async def test_two_relays_at_once_lose_nothing_and_the_stream_drops_what_both_publish(world: World) -> None:
    events = [created() for _ in range(20)]
    await world.write(*events)
    world.clock.go_on(16)
    await asyncio.gather(world.relay().pass_once(), world.relay().pass_once())
    assert sorted(e.event_id for e in world.bus.published) == sorted(e.event_id for e in events)
    assert await world.rows() == 0


async def test_more_rows_than_one_read_are_all_relayed(world: World) -> None:
    insert: Statement | None = None
    rows: list[Sequence[Any]] = []
    for _ in range(ROWS_PER_READ + 300):
        insert, params = world.outbox.row(created())
        rows.append(params)
    assert insert is not None
    await world.cql.write_rows(insert, rows)
    assert (await world.outbox.backlog())[0] == len(rows)
    world.clock.go_on(30)
    await world.relay().pass_once()
    assert len(world.bus.published) == len(rows)
    assert await world.rows() == 0


async def test_a_look_at_the_backlog_is_nothing_that_the_server_warns_of(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever shows the lag asks every few seconds: the logs would hold nothing else."""
    for seconds in (0, 5, 300, 20):
        world.clock.go_on(seconds)
        await world.write(created(), created())
    assert await world.outbox.backlog() == (8, 325_000)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("cassandra")] == []


async def test_of_a_great_backlog_the_oldest_is_known_and_that_it_is_great(world: World) -> None:
    """P82: what stands behind an outage of hours is not read whole each time somebody asks."""
    table = CqlOutboxTable(world.cql, world.clock, counted=3)
    first = world.clock.ms // BUCKET_MS
    oldest_ms = world.clock.ms
    await world.write(created(), created(), created())
    world.clock.go_on(3600)
    await world.write(created(), created())
    assert await table.count(first, world.clock.ms // BUCKET_MS) == (3, oldest_ms)
    assert await world.table.count(first, world.clock.ms // BUCKET_MS) == (5, oldest_ms)


async def test_a_row_whose_timestamp_is_ahead_of_the_time_is_deleted_all_the_same(world: World) -> None:
    """A follow is written with a timestamp greater than that of the state before, whatever the clocks say."""
    event = created()
    await world.write(event, timestamp_us=world.clock.now_us() + 40_000_000)
    world.clock.ms += 16
    await world.outbox.publish_soon(event)
    world.clock.go_on(16)
    await world.relay().pass_once()
    assert await world.rows() == 0


async def test_a_full_stream_refuses_and_the_row_stays(world: World, mesh_config: MeshConfig) -> None:
    config = dataclasses.replace(mesh_config, namespace=f"{mesh_config.namespace}full", nats_stream_messages=1)
    bus = await NatsBus.connect(config)
    try:
        await bus.declare([TweetCreated])
        outbox = Outbox(world.table, bus, world.clock, NO_FAULTS, AGES_S)
        first, second = created(), created()
        for event in (first, second):
            await world.cql.logged_batch([outbox.row(event)])
        await bus.publish(first)
        await outbox.publish_soon(second)
        relay = Relay(world.table, bus, world.clock, NO_FAULTS, AGES_S)
        world.clock.go_on(16)
        with pytest.raises(Unavailable, match="refused"):
            await relay.pass_once()
        assert await world.rows() == 2
        await bus._js.purge_stream(f"{config.namespace}_tweets")
        await bus._js.update_stream(
            (await bus._js.stream_info(f"{config.namespace}_tweets")).config.evolve(max_msgs=10)
        )
        await relay.pass_once()
        assert await world.rows() == 0
    finally:
        for name in ("tweets", "dead"):
            await bus._js.delete_stream(f"{config.namespace}_{name}")
        await bus.close()


class Silent(MemoryBus):
    """A bus that never acknowledges."""

    async def send(self, envelopes: Sequence[Envelope]) -> list[int]:
        await asyncio.Event().wait()
        return []


async def test_publishing_soon_does_not_wait_for_a_bus_that_never_answers(world: World) -> None:
    outbox, event = Outbox(world.table, Silent(), world.clock, NO_FAULTS, AGES_S), created()
    await world.cql.logged_batch([outbox.row(event)])
    async with asyncio.timeout(30):
        await outbox.publish_soon(event)
        await outbox.publish_soon(event)
    assert await world.rows() == 1
