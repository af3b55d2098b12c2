"""What HomeStates promises, held against the memory store and the CQL one alike."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from cql_client import Cql
from outbox import CqlOutboxTable, Outbox
from runtime.config import MeshConfig
from runtime.faults import NO_FAULTS
from runtime.ids import uuid7_of
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox, MemoryOutboxTable
from svc_timeline.days import DAY_MS
from svc_timeline.events import reader_seen
from svc_timeline.server import SCHEMA
from svc_timeline.states import KEPT_DAYS, CqlHomeStates, HomeStates
from svc_timeline.states_memory import MemoryHomeStates
from tests.noon import Noon

CLOCK = Noon()
TODAY = CLOCK.now_ms() // DAY_MS


@dataclass
class Kept:
    """States, and the table in which announcements wait."""

    states: HomeStates
    table: CqlOutboxTable | MemoryOutboxTable

    async def note(self, reader: bytes, day: int) -> None:
        await self.states.set_read_day(reader, day, announce=reader_seen(reader, day))

    async def announced(self) -> set[bytes]:
        """The ids of the announcements that wait."""
        bucket = CLOCK.now_ms() // 10_000
        return {row.envelope.event_id for row in await self.table.rows(bucket - 20, bucket + 1)}


@pytest.fixture(scope="module")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    """A session on a keyspace of these tests."""
    session = await Cql.connect(dataclasses.replace(mesh_config, area="timeline_states"), SCHEMA)
    yield session
    await session.close()


@pytest.fixture(params=["memory", "cql"])
def kept(request: pytest.FixtureRequest) -> Kept:
    """Each store in turn."""
    if request.param == "memory":
        outbox = MemoryOutbox(MemoryBus(), CLOCK)
        return Kept(MemoryHomeStates(outbox.write, CLOCK), outbox._own)
    cql = request.getfixturevalue("cql")
    table = CqlOutboxTable(cql, CLOCK)
    return Kept(CqlHomeStates(cql, Outbox(table, MemoryBus(), CLOCK, NO_FAULTS), CLOCK), table)


def person() -> bytes:
    return uuid7_of(CLOCK.now_ms(), uuid.uuid4().int).bytes


async def test_the_day_that_was_stored_is_the_last(kept: Kept) -> None:
    reader, other = person(), person()
    assert await kept.states.last_read_day(reader) is None
    await kept.note(reader, TODAY - 1)
    assert await kept.states.last_read_day(reader) == TODAY - 1
    await kept.note(reader, TODAY)
    assert await kept.states.last_read_day(reader) == TODAY
    assert await kept.states.last_read_day(other) is None


async def test_a_day_is_stored_together_with_its_announcement(kept: Kept) -> None:
    reader = person()
    await kept.note(reader, TODAY)
    assert reader_seen(reader, TODAY).event_id in await kept.announced()


async def test_an_earlier_day_changes_nothing_and_is_announced(kept: Kept) -> None:
    reader = person()
    await kept.note(reader, TODAY)
    await kept.note(reader, TODAY - 2)
    assert await kept.states.last_read_day(reader) == TODAY
    assert {reader_seen(reader, day).event_id for day in (TODAY, TODAY - 2)} <= await kept.announced()


async def test_processes_that_note_a_reader_at_once_store_the_same(kept: Kept) -> None:
    reader = person()
    await asyncio.gather(*(kept.note(reader, TODAY) for _ in range(10)))
    assert await kept.states.last_read_day(reader) == TODAY


async def test_who_did_not_read_for_longer_than_days_are_kept_is_not_known(cql: Cql) -> None:
    memory = MemoryHomeStates(lambda _: None, CLOCK)
    reader = person()
    await memory.set_read_day(reader, TODAY - KEPT_DAYS, announce=reader_seen(reader, TODAY - KEPT_DAYS))
    assert await memory.last_read_day(reader) is None
    outbox = Outbox(CqlOutboxTable(cql, CLOCK), MemoryBus(), CLOCK, NO_FAULTS)
    await CqlHomeStates(cql, outbox, CLOCK).set_read_day(reader, TODAY, announce=reader_seen(reader, TODAY))
    select = cql.prepare("SELECT TTL(last_read_day) FROM home_state WHERE user_id = ?")
    [[ttl_s]] = await cql.execute(select, (uuid.UUID(bytes=reader),))
    assert (KEPT_DAYS - 1) * 86_400 - 120 < ttl_s <= KEPT_DAYS * 86_400
