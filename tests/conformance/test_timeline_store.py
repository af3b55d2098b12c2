"""What HomeStore promises, held against the memory store and the CQL one alike."""

import dataclasses
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cql_client import Cql
from runtime.config import MeshConfig
from runtime.ids import WEEK_MS, SystemClock, ms_of, uuid7_of
from svc_timeline import store as store_module
from svc_timeline.domain import LAST_ID, NO_ID, Entry, Span, following
from svc_timeline.store import CqlHomeStore, HomeStore
from svc_timeline.store_memory import MemoryHomeStore

SCHEMA = Path(store_module.__file__).parent / "schema"
DAY_MS = 24 * 3600 * 1000
TTL_S = 30 * 24 * 3600
EVERYTHING = Span(NO_ID, LAST_ID)
# Rows expire by the server's time, so these tests live in the time of the machine.
CLOCK = SystemClock()


@pytest.fixture(scope="module")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    """A session on the keyspace of this run."""
    session = await Cql.connect(dataclasses.replace(mesh_config, area="timeline"), SCHEMA)
    yield session
    await session.close()


@pytest.fixture(params=["memory", "cql"])
def store(request: pytest.FixtureRequest) -> HomeStore:
    """Each store in turn."""
    if request.param == "memory":
        return MemoryHomeStore(CLOCK, TTL_S)
    return CqlHomeStore(request.getfixturevalue("cql"), CLOCK, TTL_S)


@pytest.fixture(params=["memory", "cql"])
async def new_store(request: pytest.FixtureRequest, mesh_config: MeshConfig) -> AsyncIterator[HomeStore]:
    """Each store in turn, as of a system that never ran before."""
    if request.param == "memory":
        yield MemoryHomeStore(CLOCK, TTL_S)
        return
    config = dataclasses.replace(mesh_config, area="timeline", namespace=f"{mesh_config.namespace}new")
    session = await Cql.connect(config, SCHEMA)
    yield CqlHomeStore(session, CLOCK, TTL_S)
    await session.close()


def person() -> bytes:
    return uuid7_of(CLOCK.now_ms(), uuid.uuid4().int).bytes


def entry(age_ms: int) -> Entry:
    return Entry(uuid7_of(CLOCK.now_ms() - age_ms, uuid.uuid4().int).bytes, person(), flags=age_ms % 3)


def entries(*ages_ms: int) -> list[Entry]:
    """Entries of these ages, newest first."""
    return sorted(map(entry, ages_ms), reverse=True)


async def test_entries_are_read_newest_first_with_author_and_flags(store: HomeStore) -> None:
    user, added = person(), entries(5, 1, 4_000, 3 * DAY_MS)
    await store.add([user], added[::-1])
    assert await store.read(user, EVERYTHING, 10) == added


async def test_a_home_that_is_not_known_is_empty(store: HomeStore) -> None:
    assert await store.read(person(), EVERYTHING, 10) == []


async def test_adding_again_changes_nothing(store: HomeStore) -> None:
    """P8."""
    user, added = person(), entries(1000, 2000)
    for _ in range(3):
        await store.add([user], added)
    assert await store.read(user, EVERYTHING, 10) == added


async def test_every_entry_comes_into_every_home(store: HomeStore) -> None:
    """More rows than one batch holds."""
    users, added = [person() for _ in range(250)], entries(10, 20)
    await store.add(users, added)
    for user in users:
        assert await store.read(user, EVERYTHING, 10) == added


async def test_adding_to_nobody_or_nothing_is_no_failure(store: HomeStore) -> None:
    user = person()
    await store.add([], entries(1))
    await store.add([user], [])
    assert await store.read(user, EVERYTHING, 10) == []


async def test_a_home_is_read_over_the_borders_of_weeks(store: HomeStore) -> None:
    user, added = person(), entries(*(day * DAY_MS + 1 for day in range(28)))
    await store.add([user], added)
    assert len({ms_of(e.entry_id) // WEEK_MS for e in added}) >= 4
    assert await store.read(user, EVERYTHING, 100) == added


@pytest.mark.parametrize("size", [1, 3, 10, 28, 100])
async def test_any_page_size_gives_the_same_whole(store: HomeStore, size: int) -> None:
    user, added = person(), entries(*(day * DAY_MS + 1 for day in range(28)))
    await store.add([user], added)
    found: list[Entry] = []
    while page := await store.read(user, Span(NO_ID, found[-1].entry_id if found else LAST_ID), size):
        assert len(page) <= size
        found += page
    assert found == added


async def test_a_span_begins_with_its_first_id_and_ends_before_its_last(store: HomeStore) -> None:
    user, added = person(), entries(*range(1, 8))
    await store.add([user], added)
    span = Span(added[5].entry_id, added[1].entry_id)
    assert await store.read(user, span, 10) == added[2:6]


async def test_spans_may_begin_and_end_anywhere_in_sixteen_bytes(store: HomeStore) -> None:
    """Bounds need not be UUIDs: the id behind another one, a rounded-up millisecond, zeros."""
    user, added = person(), entries(1000, 2000, 3000)
    await store.add([user], added)
    middle = added[1].entry_id
    end_of_ms = middle[:6] + b"\xff" * 10
    assert await store.read(user, Span(NO_ID, following(middle)), 10) == added[1:]
    assert await store.read(user, Span(following(middle), LAST_ID), 10) == added[:1]
    assert await store.read(user, Span(NO_ID, following(end_of_ms)), 10) == added[1:]
    assert await store.read(user, Span(middle[:6] + bytes(10), end_of_ms), 10) == added[1:2]


async def test_an_empty_span_or_no_limit_reads_nothing(store: HomeStore) -> None:
    user, added = person(), entries(1000)
    await store.add([user], added)
    assert await store.read(user, Span(added[0].entry_id, added[0].entry_id), 10) == []
    assert await store.read(user, Span(LAST_ID, NO_ID), 10) == []
    assert await store.read(user, EVERYTHING, 0) == []


async def test_an_entry_older_than_homes_reach_is_not_added(store: HomeStore) -> None:
    user, kept = person(), entry(TTL_S * 1000 - 60_000)
    await store.add([user], [entry(TTL_S * 1000 + 1000), kept])
    assert await store.read(user, EVERYTHING, 10) == [kept]


async def test_an_entry_of_a_clock_ahead_is_read(store: HomeStore) -> None:
    user, ahead = person(), entry(-4_000)
    await store.add([user], [ahead])
    assert await store.read(user, EVERYTHING, 10) == [ahead]


async def test_a_store_is_empty_until_something_is_added(new_store: HomeStore) -> None:
    assert await new_store.is_empty()
    await new_store.add([person()], entries(1000))
    assert not await new_store.is_empty()
