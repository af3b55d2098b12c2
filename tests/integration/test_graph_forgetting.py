"""What ended long ago is forgotten, on the real server, and nothing that comes late brings back what it ended."""

import dataclasses
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cassandra import ConsistencyLevel

from cql_client import Cql
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from svc_graph.domain import Change, Edge, Pair, changed_together
from svc_graph.ended_cql import CqlEnded
from svc_graph.forgetting import Forgetting
from svc_graph.mirrors_cql import CqlMirrors
from svc_graph.stances import BLOCK, MUTE, Relation, Stance, changed_stance
from svc_graph.store import SCHEMA
from tests.integration.test_graph_growth import CLOCK, IDS, One

DAY_US = 24 * 3600 * 1_000_000
BOTH = pytest.mark.parametrize("relation", [BLOCK, MUTE])


@pytest.fixture(scope="module")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="graph_forgetting"), SCHEMA)
    yield opened
    await opened.close()


@pytest.fixture
async def one(cql: Cql) -> One:
    return One(cql)


def forgetting(one: One, cql: Cql, rows: Any = None) -> Forgetting:
    mirrors = CqlMirrors(cql, one.levels, one.store.stamps)
    return Forgetting(rows or CqlEnded(cql), mirrors.edges, CLOCK, rows_a_second=10**6)


def days_ago(days: float) -> int:
    return CLOCK.now_us() - int(days * DAY_US)


async def follow(one: One, pair: Pair, following: bool, at_us: int) -> Change:
    [made] = changed_together(await one.store.edges([pair]), following, at_us)
    await one.store.apply([made], [])
    return made


async def put(
    one: One, relation: Relation, pair: Pair, stands: bool, at_us: int, until_ms: int = 0
) -> tuple[Stance, Stance]:
    [before] = await one.store.stances(relation, pair[0], [pair[1]])
    after = changed_stance(before, stands, until_ms, at_us)
    await one.store.set_stance(before, after, [])
    return before, after


def pair() -> Pair:
    return Pair(IDS.next(), IDS.next())


async def rows_of(cql: Cql, table: str, user_id: uuid.UUID) -> list[Any]:
    key = "follower_id" if table == "follow_edges" else "user_id"
    where = f"WHERE {key} = ?" if table == "follow_edges" else f"WHERE {key} = ? ALLOW FILTERING"
    rows = await cql.execute(cql.prepare(f"SELECT * FROM {table} {where}"), (user_id,))
    # A partition of which nothing but the version of its account is left is told as a row without a followee.
    return [row for row in rows if row[1] is not None]


async def test_a_follow_that_ended_a_month_ago_leaves_no_row_and_keeps_the_version_of_its_account(
    cql: Cql, one: One
) -> None:
    gone, lately, stands = pair(), pair(), pair()
    await follow(one, gone, True, days_ago(40))
    ended = await follow(one, gone, False, days_ago(31))
    await follow(one, lately, True, days_ago(40))
    await follow(one, lately, False, days_ago(29))
    await follow(one, stands, True, days_ago(400))
    await forgetting(one, cql).walk()
    assert await rows_of(cql, "follow_edges", gone[0]) == []
    assert await one.store.edges([gone]) == [Edge(gone)]
    assert (await one.store.versions([gone[0]]))[gone[0]] == ended.after.version
    assert [edge.following for edge in await one.store.edges([lately, stands])] == [False, True]
    assert len(await rows_of(cql, "follow_edges", lately[0])) == 1
    again = await follow(one, gone, True, CLOCK.now_us())
    assert await one.store.edges([gone]) == [again.after]
    await forgetting(one, cql).walk()
    assert await one.store.edges([gone]) == [again.after]


async def test_a_follow_that_arrives_after_its_end_was_forgotten_does_not_come_back(cql: Cql, one: One) -> None:
    """A hint, or a batch log, of a server that was away for long."""
    both = pair()
    first = await follow(one, both, True, days_ago(60))
    await follow(one, both, False, days_ago(50))
    await forgetting(one, cql).walk()
    await one.store.apply([first], [])
    assert await one.store.edges([both]) == [Edge(both)]


@BOTH
async def test_a_stance_that_ended_a_month_ago_leaves_no_row_and_does_not_come_back(
    cql: Cql, one: One, relation: Relation
) -> None:
    gone, stands = pair(), pair()
    first = await put(one, relation, gone, True, days_ago(60))
    await put(one, relation, gone, False, days_ago(31))
    await put(one, relation, stands, True, days_ago(400))
    lately = pair()
    await put(one, relation, lately, True, days_ago(60))
    await put(one, relation, lately, False, days_ago(29))
    await forgetting(one, cql).walk()
    assert await rows_of(cql, "stances", gone[0]) == []
    assert len(await rows_of(cql, "stances", lately[0])) == 1
    assert (await one.store.stances(relation, stands[0], [stands[1]]))[0].stands
    await one.store.set_stance(*first, [])
    assert await one.store.stances(relation, gone[0], [gone[1]]) == [Stance(relation, *gone)]
    assert await one.store.list_stances(relation, gone[0], None, 10, CLOCK.now_ms()) == []


async def test_a_mute_whose_time_was_over_a_month_ago_leaves_no_row_in_any_table(cql: Cql, one: One) -> None:
    gone, runs, over = pair(), pair(), pair()
    await put(one, MUTE, gone, True, days_ago(90), until_ms=days_ago(31) // 1000)
    await put(one, MUTE, runs, True, days_ago(90), until_ms=CLOCK.now_ms() + 60_000)
    await put(one, MUTE, over, True, days_ago(90), until_ms=days_ago(29) // 1000)
    await forgetting(one, cql).walk()
    for table in ("stances", "stances_by_time"):
        assert await rows_of(cql, table, gone[0]) == []
        assert len(await rows_of(cql, table, runs[0])) == 1
        assert len(await rows_of(cql, table, over[0])) == 1


async def test_while_a_replica_is_away_nothing_is_forgotten(cql: Cql, one: One) -> None:
    """It may have missed the end: what the others forget, it would bring back."""
    both = pair()
    await follow(one, both, True, days_ago(60))
    await follow(one, both, False, days_ago(50))
    asked: list[int] = []
    session = cql._opened.session
    session.add_request_init_listener(note := lambda sent: asked.append(sent.message.consistency_level))
    await CqlEnded(cql).drop_edge((await one.store.edges([both]))[0])
    session.remove_request_init_listener(note)
    assert asked[-1] == ConsistencyLevel.ALL

    class Away(CqlEnded):
        async def drop_edge(self, edge: Edge) -> None:
            raise Unavailable("a replica is away", retry_after_s=1)

    other = pair()
    await follow(one, other, True, days_ago(60))
    await follow(one, other, False, days_ago(50))
    with pytest.raises(Unavailable):
        await forgetting(one, cql, Away(cql)).walk()
    assert (await one.store.edges([other]))[0].version
