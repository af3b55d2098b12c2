"""Followers of accounts that outgrow a partition, on the real server: nobody is missed or out of order while levels are opened."""

import asyncio
import contextlib
import dataclasses
import itertools
import uuid
from collections.abc import AsyncIterator

import pytest

from cql_client import Cql
from outbox import CqlOutboxTable, Outbox
from runtime.config import MeshConfig
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids
from simulation.bus import MemoryBus
from svc_graph.domain import Pair, Shard, changed_together
from svc_graph.growth import Growth
from svc_graph.levels import PARTITIONS, Level, shard_of
from svc_graph.levels_cql import CqlLevels, LevelLimits
from svc_graph.store import SCHEMA
from svc_graph.store_cql import CqlGraphStore
from tests.integration.graph_mesh import until

CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)
LIMITS = LevelLimits(partition_followers=8, believed_s=0.25)


class One:
    """What a process has of its own: what it believes of levels, and who raises them."""

    def __init__(self, cql: Cql, limits: LevelLimits = LIMITS) -> None:
        self.levels = CqlLevels(cql, limits)
        self.growth = Growth(self.levels, CLOCK, NO_FAULTS)
        outbox = Outbox(CqlOutboxTable(cql, CLOCK), MemoryBus("svc_graph"), CLOCK, NO_FAULTS)
        self.store = CqlGraphStore(cql, outbox, self.levels, self.growth.noticed)

    async def set(self, follower: uuid.UUID, followee: uuid.UUID, following: bool) -> uuid.UUID:
        """Store a state; its follow_id."""
        changes = changed_together(await self.store.edges([Pair(follower, followee)]), following, CLOCK.now_us())
        await self.store.apply(changes, [])
        return changes[0].after.follow_id

    async def followers(self, followee: uuid.UUID, limit: int = 3) -> list[uuid.UUID]:
        """All pages of all partitions, as fan-out reads them; who is in two partitions comes twice."""
        found: list[uuid.UUID] = []
        for shard in await self.store.follower_shards(followee):
            after = None
            while page := await self.store.follower_page(followee, shard, after, limit):
                found += page
                after = page[-1]
                if len(page) < limit:
                    break
        return found

    async def listed(self, followee: uuid.UUID, limit: int) -> list[uuid.UUID]:
        """Everybody, by pages of the list by time."""
        found: list[uuid.UUID] = []
        before = None
        while page := await self.store.list_followers(followee, before, limit):
            found += [row.user_id for row in page]
            before = page[-1].follow_id
        return found


@pytest.fixture(scope="module")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="graph_growth"), SCHEMA)
    yield opened
    await opened.close()


@contextlib.asynccontextmanager
async def growing(*processes: One) -> AsyncIterator[None]:
    """While these processes raise levels."""
    tasks = [asyncio.create_task(process.growth.run(process.store)) for process in processes]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_no_reader_misses_a_follower_while_two_processes_open_a_level_and_follows_go_on(cql: Cql) -> None:
    """No reader, whatever it believes of the level; and lists by time are in the order of follows, across levels."""
    first, second, reader = One(cql), One(cql), One(cql)
    celebrity = IDS.next()
    acknowledged: list[uuid.UUID] = []
    missed: set[uuid.UUID] = set()
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            must = list(acknowledged)
            missed.update(set(must) - set(await reader.followers(celebrity, 1000)))
            missed.update(set(must) - set(await reader.listed(celebrity, 1000)))
            missed.update(set(must) - await reader.store.followers_among(celebrity, must))

    async def follow() -> None:
        for process in itertools.cycle((first, second)):
            newcomer = IDS.next()
            await process.set(newcomer, celebrity, True)
            acknowledged.append(newcomer)
            if len(acknowledged) >= 30 and (await first.levels.of([celebrity]))[celebrity].written == 1:
                break
        for process in (first, second) * 10:
            newcomer = IDS.next()
            await process.set(newcomer, celebrity, True)
            acknowledged.append(newcomer)
        done.set()

    async with growing(first, second):
        await asyncio.gather(read(), follow())
    assert missed == set()
    levels = {level for level in range(3) for one in acknowledged if await holds(reader, celebrity, one, level)}
    assert levels == {0, 1}
    for limit in (3, 1000):
        assert await reader.listed(celebrity, limit) == acknowledged[::-1]
    assert sorted(await reader.followers(celebrity)) == sorted(acknowledged)


async def holds(process: One, followee: uuid.UUID, follower: uuid.UUID, level: int) -> bool:
    """Whether the follower is in the partition of this level."""
    return follower in await process.store.follower_page(followee, shard_of(follower, level), None, 1000)


async def at_level(process: One, followee: uuid.UUID, level: int) -> None:
    """Open levels by hand, and let the process know."""
    for each in range(1, level + 1):
        await process.levels.mark(followee, each)
        await process.levels.open(followee, each, CLOCK.now_us())
    await process.levels.fresh(followee)


async def test_who_followed_at_an_earlier_level_unfollows_and_follows_again_without_a_trace_there(cql: Cql) -> None:
    """P51: ending a follow ends it wherever it may be."""
    one, celebrity = One(cql), IDS.next()
    people = [IDS.next() for _ in range(6)]
    for level in range(3):
        await at_level(one, celebrity, level)
        for person in people[2 * level : 2 * level + 2]:
            await one.set(person, celebrity, True)
    assert await one.listed(celebrity, 2) == people[::-1]
    assert sorted(await one.followers(celebrity)) == people
    for person in people[::2]:
        await one.set(person, celebrity, False)
    assert await one.listed(celebrity, 2) == people[::-2]
    assert sorted(await one.followers(celebrity)) == people[1::2]
    for person in people[::2]:
        await one.set(person, celebrity, True)
    assert await one.listed(celebrity, 2) == [*people[::2][::-1], *people[::-2]]
    assert sorted(await one.followers(celebrity)) == people
    assert await one.store.followers_among(celebrity, [*people, IDS.next()]) == set(people)


async def test_whoever_marks_or_opens_a_level_late_lowers_none(cql: Cql) -> None:
    one, celebrity = One(cql), IDS.next()
    await at_level(one, celebrity, 2)
    whole = await one.levels.fresh(celebrity)
    await one.levels.mark(celebrity, 1)
    await one.levels.open(celebrity, 1, 1)
    after = await one.levels.fresh(celebrity)
    assert (after.read, after.written) == (whole.read, whole.written) == (2, 2)
    assert len(await one.store.follower_shards(celebrity)) == sum(PARTITIONS)


async def test_a_growth_that_began_and_died_is_gone_on_with(cql: Cql) -> None:
    """The new level is read and empty; the next who comes lets it be opened, although the partition is not full."""
    one, celebrity = One(cql), IDS.next()
    await one.levels.mark(celebrity, 1)
    async with growing(one):
        await one.set(IDS.next(), celebrity, True)

        async def opened() -> bool:
            return await one.levels.fresh(celebrity) == Level(1, 1, (await one.levels.fresh(celebrity)).opened_us)

        await until(opened)


async def test_the_level_of_an_account_is_read_again_once_it_is_old(cql: Cql) -> None:
    one, other, celebrity = One(cql), One(cql, LevelLimits(believed_s=0)), IDS.next()
    assert await one.store.follower_shards(celebrity) == await other.store.follower_shards(celebrity) == [Shard(0, 0)]
    await one.levels.mark(celebrity, 1)
    assert len(await other.store.follower_shards(celebrity)) == 65
