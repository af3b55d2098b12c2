"""Follows and their mirrors on the real server: every kind of difference is found and repaired, and nothing else is touched."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest

from cql_client import Cql
from runtime.config import MeshConfig
from svc_graph.domain import Change, Edge, Pair, changed_together
from svc_graph.levels import Level
from svc_graph.mirrors_cql import CqlMirrors, Found
from svc_graph.repair import Repair
from svc_graph.store import SCHEMA
from tests.integration.test_graph_growth import CLOCK, IDS, One, at_level


@pytest.fixture(scope="module")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="graph_repair"), SCHEMA)
    yield opened
    await opened.close()


@pytest.fixture
async def one(cql: Cql) -> One:
    return One(cql)


def repair_of(one: One, cql: Cql, settled_s: float = 0) -> Repair:
    mirrors = CqlMirrors(cql, one.levels, one.store.stamps)
    return Repair(mirrors, one.store, CLOCK, rows_a_second=10**6, settled_s=settled_s, look_again_s=0)


async def everything(cql: Cql) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all mirrors."""
    tables = ("followers", "following_by_time", "followers_by_time", "followers_by_slot")
    return {name: sorted(await cql.execute(cql.prepare(f"SELECT * FROM {name}"))) for name in tables}


async def change(
    one: One, cql: Cql, follower: uuid.UUID, followee: uuid.UUID, following: bool, without: str = ""
) -> Edge:
    """Set a state, but in one table, as if that write had been lost."""
    [made] = changed_together(await one.store.edges([Pair(follower, followee)]), following, CLOCK.now_us())
    level = (await one.levels.of([followee]))[followee]
    rows = [row for row in one.store._rows(made, level) if without not in row[0].query.split()]
    await cql.logged_batch(rows, timestamp_us=made.after.version)
    return made.after


TABLES = ("followers", "following_by_time", "followers_by_time")


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_that_a_follow_lacks_is_written(cql: Cql, one: One, table: str) -> None:
    """P50: the truth has the follow, one mirror has not; nothing else is written."""
    alice, bob, carol = (IDS.next() for _ in range(3))
    for pair in ((carol, bob), (alice, carol)):
        await change(one, cql, *pair, following=True)
    before = await everything(cql)
    edge = await change(one, cql, alice, bob, following=True, without=table)
    without = await everything(cql)
    assert len(without[table]) == len(before[table])
    assert await repair_of(one, cql).walk() == 1
    mended = await everything(cql)
    assert {name: len(rows) - len(without[name]) for name, rows in mended.items() if rows != without[name]} == {
        table: 1
    }
    assert await shown(one, edge.pair) == (True, True, True)
    assert await repair_of(one, cql).walk() == 0


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_whose_follow_has_ended_is_removed(cql: Cql, one: One, table: str) -> None:
    """P50: the truth has no follow, one mirror still has; follows of others stay."""
    alice, bob, carol = (IDS.next() for _ in range(3))
    for pair in ((carol, bob), (alice, carol)):
        await change(one, cql, *pair, following=True)
    before = await everything(cql)
    await change(one, cql, alice, bob, following=True)
    await change(one, cql, alice, bob, following=False, without=table)
    assert await everything(cql) != before
    assert await repair_of(one, cql).walk() == 1
    assert await everything(cql) == before


@pytest.mark.parametrize("level", [0, 1, 2])
async def test_rows_of_a_follow_that_the_truth_does_not_know_are_removed(cql: Cql, one: One, level: int) -> None:
    """P50: at every level. What came after them is not theirs: the pair can follow again."""
    alice, bob = IDS.next(), IDS.next()
    await at_level(one, bob, level)
    before = await everything(cql)
    await change(one, cql, alice, bob, following=True, without="follow_edges")
    assert await repair_of(one, cql).walk() == 3
    assert await everything(cql) == before
    edge = await change(one, cql, alice, bob, following=True)
    assert await repair_of(one, cql).walk() == 0
    assert await shown(one, edge.pair) == (True, True, True)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("table", ["followers", "followers_by_slot"])
async def test_what_a_follow_lacks_above_level_0_is_written_there(cql: Cql, one: One, level: int, table: str) -> None:
    """P50."""
    alice, bob = IDS.next(), IDS.next()
    await at_level(one, bob, level)
    edge = await change(one, cql, alice, bob, following=True, without=table)
    assert await repair_of(one, cql).walk() == 1
    assert await shown(one, edge.pair) == (True, True, True)
    assert await repair_of(one, cql).walk() == 0


async def test_a_follow_that_is_written_at_two_levels_or_was_made_again_is_no_difference(cql: Cql, one: One) -> None:
    alice, bob = IDS.next(), IDS.next()
    await change(one, cql, alice, bob, following=True)
    await at_level(one, bob, 1)
    [edge] = await one.store.edges([Pair(alice, bob)])
    level = (await one.levels.of([bob]))[bob]
    again = list(one.store._rows(Change(edge, edge), level))
    await cql.logged_batch(again, timestamp_us=edge.version)
    assert await repair_of(one, cql).walk() == 0
    for following in (False, True):
        await change(one, cql, alice, bob, following)
    assert await repair_of(one, cql).walk() == 0


async def test_what_is_young_may_be_on_its_way_and_is_left_alone(cql: Cql, one: One) -> None:
    """Batches are not isolated: rows of one that is being applied look like rows of no follow."""
    alice, bob = IDS.next(), IDS.next()
    edge = await change(one, cql, alice, bob, following=True, without="follow_edges")
    before = await everything(cql)
    assert await repair_of(one, cql, settled_s=60).walk() == 0
    assert await everything(cql) == before
    late = [row for row in one.store._rows(Change(edge, edge), Level()) if "follow_edges" in row[0].query.split()]
    await cql.logged_batch(late, timestamp_us=edge.version)
    assert await repair_of(one, cql).walk() == 0
    assert await shown(one, edge.pair) == (True, True, True)


async def test_a_pass_takes_its_time(cql: Cql, one: One) -> None:
    """No more rows a second than allowed: the reads of people come first."""
    alice, *others = (IDS.next() for _ in range(21))
    for other in others:
        await change(one, cql, alice, other, following=True)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await Repair(
        CqlMirrors(cql, one.levels, one.store.stamps), one.store, CLOCK, rows_a_second=100, settled_s=0, look_again_s=0
    ).walk()
    # Twenty follows with a row in each of three mirrors.
    assert loop.time() - begun >= 4 * 20 / 100


async def shown(one: One, pair: Pair) -> tuple[bool, bool, bool]:
    """Whether fan-out and both lists have the follow."""
    followers = await one.followers(pair.followee_id)
    following = await one.store.list_following(pair.follower_id, None, 100)
    return (
        followers.count(pair.follower_id) == 1,
        [row.user_id for row in following].count(pair.followee_id) == 1,
        (await one.listed(pair.followee_id, 10)).count(pair.follower_id) == 1,
    )


async def test_what_is_right_at_a_second_look_is_no_drift(cql: Cql, one: One) -> None:
    """What a block ends has the next version of the follow, however old that is: its age does not say that it is on its way."""
    alice, bob = IDS.next(), IDS.next()
    await change(one, cql, alice, bob, following=True)
    [edge] = await one.store.edges([Pair(alice, bob)])
    [ended] = changed_together([edge], False, edge.version + 1)
    rows = list(one.store._rows(ended, Level()))
    truth = [row for row in rows if "follow_edges" in row[0].query.split()]
    await cql.logged_batch(truth, timestamp_us=ended.after.version)

    class Arriving(CqlMirrors):
        """The rest of the batch arrives between the first look and the second."""

        async def still_there(self, found: Sequence[Found]) -> list[Found]:
            await cql.logged_batch(rows, timestamp_us=ended.after.version)
            return await super().still_there(found)

    mirrors = Arriving(cql, one.levels, one.store.stamps)
    repair = Repair(mirrors, one.store, CLOCK, rows_a_second=10**6, settled_s=0, look_again_s=0)
    assert await repair.walk() == 0
