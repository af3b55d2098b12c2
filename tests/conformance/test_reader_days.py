"""What ReaderDays promises, held against the memory store and the CQL one alike."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator

import pytest

from cql_client import Cql
from runtime.config import MeshConfig
from runtime.ids import uuid7_of
from svc_graph.away import day_of
from svc_graph.days import CqlReaderDays, ReaderDays
from svc_graph.days_memory import MemoryReaderDays
from svc_graph.store import SCHEMA
from tests.noon import Noon

KEPT_DAYS = 40
CLOCK = Noon()
TODAY = day_of(CLOCK.now_ms())


@pytest.fixture(scope="module")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    """A session on a keyspace of these tests: in the service's own, days may have begun."""
    session = await Cql.connect(dataclasses.replace(mesh_config, area="graph_days"), SCHEMA)
    yield session
    await session.close()


@pytest.fixture(params=["memory", "cql"])
def days(request: pytest.FixtureRequest) -> ReaderDays:
    """Each store in turn."""
    if request.param == "memory":
        return MemoryReaderDays(CLOCK, KEPT_DAYS)
    return CqlReaderDays(request.getfixturevalue("cql"), CLOCK, KEPT_DAYS)


def person() -> bytes:
    return uuid7_of(CLOCK.now_ms(), uuid.uuid4().int).bytes


async def test_the_latest_day_of_each_reader_is_known_and_of_others_nothing(days: ReaderDays) -> None:
    one, other, nobody = person(), person(), person()
    await days.put(one, TODAY)
    await days.put(other, TODAY - 20)
    assert await days.seen([one, other, nobody]) == {one: TODAY, other: TODAY - 20}
    assert await days.seen([]) == {}


async def test_an_earlier_day_changes_nothing_however_often_days_come(days: ReaderDays) -> None:
    reader = person()
    for day in (TODAY - 5, TODAY - 1, TODAY - 3, TODAY - 1, TODAY - 30):
        await days.put(reader, day)
    assert await days.seen([reader]) == {reader: TODAY - 1}


async def test_days_that_come_at_once_leave_the_latest(days: ReaderDays) -> None:
    reader = person()
    await asyncio.gather(*(days.put(reader, TODAY - ago) for ago in range(20)))
    assert await days.seen([reader]) == {reader: TODAY}


async def test_many_readers_are_asked_about_at_once(days: ReaderDays) -> None:
    readers = [person() for _ in range(250)]
    await asyncio.gather(*(days.put(one, TODAY - number % 7) for number, one in enumerate(readers)))
    assert await days.seen(readers) == {one: TODAY - number % 7 for number, one in enumerate(readers)}


async def test_a_day_that_is_not_kept_any_more_is_not_stored(days: ReaderDays) -> None:
    reader = person()
    await days.put(reader, TODAY - KEPT_DAYS - 1)
    assert await days.seen([reader]) == {}
    await days.put(reader, TODAY - KEPT_DAYS + 1)
    assert await days.seen([reader]) == {reader: TODAY - KEPT_DAYS + 1}


async def test_since_when_days_are_kept_is_what_was_said_last(days: ReaderDays) -> None:
    await days.begin(TODAY - 3)
    assert await days.kept_since() == TODAY - 3
    await days.begin(TODAY)
    assert await days.kept_since() == TODAY


async def test_days_are_kept_for_so_long_and_no_longer(cql: Cql) -> None:
    reader = person()
    await CqlReaderDays(cql, CLOCK, KEPT_DAYS).put(reader, TODAY)
    select = cql.prepare("SELECT TTL(day) FROM reader_days WHERE reader_id = ?")
    [[ttl_s]] = await cql.execute(select, (uuid.UUID(bytes=reader),))
    assert (KEPT_DAYS - 1) * 86_400 - 120 < ttl_s <= KEPT_DAYS * 86_400


async def test_an_emptied_table_does_not_say_that_it_is_complete(cql: Cql) -> None:
    days, reader = CqlReaderDays(cql, CLOCK, KEPT_DAYS), person()
    await days.begin(TODAY - 100)
    await days.put(reader, TODAY)
    await cql.execute(cql.prepare("TRUNCATE reader_days"))
    assert (await days.kept_since(), await days.seen([reader])) == (None, {})
    await days.begin(TODAY)
    await days.put(reader, TODAY)
    assert (await days.kept_since(), await days.seen([reader])) == (TODAY, {reader: TODAY})
