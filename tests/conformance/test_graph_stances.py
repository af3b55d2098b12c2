"""What StanceStore promises of blocks, mutes and viewers, in memory and on the real server; follows are in test_graph_store.py."""

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
from simulation.outbox import MemoryOutbox
from svc_graph.domain import Edge, Pair, changed_together
from svc_graph.events import block_set
from svc_graph.levels_cql import CqlLevels, LevelLimits
from svc_graph.stances import BLOCK, MUTE, Kept, Relation, Stance, ViewerVersions, changed_stance
from svc_graph.store import SCHEMA, GraphStore
from svc_graph.store_cql import CqlGraphStore
from svc_graph.store_memory import MemoryGraphStore

CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)
BOTH = pytest.mark.parametrize("relation", [BLOCK, MUTE])


@pytest.fixture(scope="session")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="graph_store"), SCHEMA)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "cql"])
def store(request: pytest.FixtureRequest) -> GraphStore:
    bus = MemoryBus("svc_graph")
    if request.param == "memory":
        return MemoryGraphStore(MemoryOutbox(bus, CLOCK).write)
    cql: Cql = request.getfixturevalue("cql")
    return CqlGraphStore(cql, Outbox(CqlOutboxTable(cql, CLOCK), bus, CLOCK, NO_FAULTS), CqlLevels(cql, LevelLimits()))


def accounts(count: int) -> list[uuid.UUID]:
    return [IDS.next() for _ in range(count)]


async def put(
    store: GraphStore, relation: Relation, who: uuid.UUID, whom: uuid.UUID, stands: bool = True, until_ms: int = 0
) -> Stance:
    """Set a state that follows the stored one."""
    [before] = await store.stances(relation, who, [whom])
    after = changed_stance(before, stands, until_ms, CLOCK.now_us())
    await store.set_stance(before, after, [block_set(after)] if relation == BLOCK else [])
    return after


async def listed(store: GraphStore, relation: Relation, who: uuid.UUID, limit: int = 100) -> list[uuid.UUID]:
    return [stance.other_id for stance in await store.list_stances(relation, who, None, limit, CLOCK.now_ms())]


async def viewer_versions(store: GraphStore, who: uuid.UUID) -> ViewerVersions:
    return (await store.viewer_versions([who]))[who]


@BOTH
async def test_a_stance_that_was_never_set_has_version_0_and_does_not_stand(
    store: GraphStore, relation: Relation
) -> None:
    alice, bob = accounts(2)
    assert await store.stances(relation, alice, [bob]) == [Stance(relation, alice, bob)]
    assert await store.stances(relation, alice, []) == []


@BOTH
async def test_stances_come_in_the_order_asked_for_however_many(store: GraphStore, relation: Relation) -> None:
    alice, *others = accounts(130)
    done = {other: await put(store, relation, alice, other) for other in others[::9]}
    found = await store.stances(relation, alice, others[::-1])
    assert found == [done.get(other, Stance(relation, alice, other)) for other in others[::-1]]


@BOTH
async def test_a_stance_sees_every_change_that_was_acknowledged(store: GraphStore, relation: Relation) -> None:
    alice, bob = accounts(2)
    for stands in (True, False, True):
        after = await put(store, relation, alice, bob, stands)
        assert await store.stances(relation, alice, [bob]) == [after]
        assert await listed(store, relation, alice) == ([bob] if stands else [])


async def test_blocks_and_mutes_do_not_mix(store: GraphStore) -> None:
    alice, bob, carol = accounts(3)
    await put(store, BLOCK, alice, bob)
    await put(store, MUTE, alice, carol)
    ties = await store.ties(alice)
    assert (list(ties.blocked_ids), [mute.other_id for mute in ties.mutes]) == ([bob], [carol])
    assert await listed(store, BLOCK, alice) == [bob]
    assert await listed(store, MUTE, alice) == [carol]


@BOTH
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_racing_changes_end_in_one_state_whatever_the_order_in_which_they_are_stored(
    store: GraphStore, relation: Relation, order: tuple[int, ...]
) -> None:
    alice, bob = accounts(2)
    start, now = Stance(relation, alice, bob), CLOCK.now_us()
    one = changed_stance(start, True, 0, now)
    gone = changed_stance(one, False, 0, now + 10)
    last = changed_stance(start, True, 0, now + 20)
    racing = [(start, one), (one, gone), (start, last)]
    for i in order:
        await store.set_stance(*racing[i], [])
    assert await store.stances(relation, alice, [bob]) == [last]
    assert await store.list_stances(relation, alice, None, 10, CLOCK.now_ms()) == [last]
    if relation == BLOCK:
        assert await store.blockers_among(bob, [alice]) == {alice: last.version}
        assert list((await store.ties(bob)).blocked_by_ids) == [alice]
    assert (await viewer_versions(store, alice)).own == last.version


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
async def test_an_unblock_that_wins_a_race_leaves_no_trace_of_the_block(
    store: GraphStore, order: tuple[int, ...]
) -> None:
    alice, bob = accounts(2)
    block = changed_stance(Stance(BLOCK, alice, bob), True, 0, CLOCK.now_us())
    gone = changed_stance(block, False, 0, block.version + 10)
    for i in order:
        await store.set_stance(*[(Stance(BLOCK, alice, bob), block), (block, gone)][i], [])
    assert await store.blockers_among(bob, [alice]) == {}
    assert list((await store.ties(bob)).blocked_by_ids) == []
    assert list((await store.ties(alice)).blocked_ids) == []
    assert await listed(store, BLOCK, alice) == []


@BOTH
async def test_storing_a_state_twice_is_storing_it_once(store: GraphStore, relation: Relation) -> None:
    alice, bob = accounts(2)
    after = await put(store, relation, alice, bob)
    await store.set_stance(Stance(relation, alice, bob), after, [])
    assert await listed(store, relation, alice) == [bob]
    # As a repetition does, which reads what it is to store.
    await store.set_stance(after, after, [])
    assert await listed(store, relation, alice) == [bob]
    if relation == BLOCK:
        assert await store.blockers_among(bob, [alice]) == {alice: after.version}


@BOTH
async def test_lists_are_latest_first_start_strictly_below_and_are_short_only_at_the_end(
    store: GraphStore, relation: Relation
) -> None:
    """P32: rows that a lost race left behind do not shorten a page."""
    alice, *others = accounts(9)
    for other in others:
        start = Stance(relation, alice, other)
        lost = changed_stance(start, True, 0, CLOCK.now_us())
        won = changed_stance(start, True, 0, lost.version + 10)
        for one in (lost, won):
            await store.set_stance(start, one, [])
    whole = await store.list_stances(relation, alice, None, 100, CLOCK.now_ms())
    assert [stance.other_id for stance in whole] == others[::-1]
    for i, stance in enumerate(whole):
        assert await store.list_stances(relation, alice, stance.stance_id, 3, CLOCK.now_ms()) == whole[i + 1 : i + 4]


async def test_a_mute_whose_time_is_over_is_listed_no_more(store: GraphStore) -> None:
    alice, *others = accounts(6)
    now_ms = CLOCK.now_ms()
    # Over, long over, for ever, and to come.
    for other, until_ms in zip(others, (now_ms - 5, now_ms - 120_000, 0, now_ms + 60_000, 0), strict=True):
        await put(store, MUTE, alice, other, until_ms=until_ms)
    for _ in range(2):
        found = await store.list_stances(MUTE, alice, None, 3, now_ms)
        assert [(stance.other_id, stance.until_ms) for stance in found] == [
            (others[4], 0),
            (others[3], now_ms + 60_000),
            (others[2], 0),
        ]
    again = await put(store, MUTE, alice, others[1], until_ms=now_ms + 90_000)
    assert (await store.list_stances(MUTE, alice, None, 10, now_ms))[0] == again


async def test_muting_again_moves_the_mute_to_the_front(store: GraphStore) -> None:
    alice, bob, carol = accounts(3)
    for other in (bob, carol, bob):
        await put(store, MUTE, alice, other)
    assert await listed(store, MUTE, alice) == [bob, carol]


async def test_blockers_among_others_are_those_who_block_now(store: GraphStore) -> None:
    alice, *others = accounts(120)
    done = {other: (await put(store, BLOCK, other, alice)).version for other in others[:110]}
    await put(store, BLOCK, others[0], alice, stands=False)
    await put(store, BLOCK, alice, others[115])
    assert await store.blockers_among(alice, others) == {other: done[other] for other in others[1:110]}
    assert await store.blockers_among(alice, []) == {}


async def test_a_change_of_any_kind_is_a_new_version_of_who_acted_and_a_block_one_of_who_is_blocked(
    store: GraphStore,
) -> None:
    alice, bob = accounts(2)
    assert await viewer_versions(store, alice) == ViewerVersions(0, 0)
    muted = await put(store, MUTE, alice, bob)
    assert await viewer_versions(store, alice) == ViewerVersions(muted.version, 0)
    assert await viewer_versions(store, bob) == ViewerVersions(0, 0)
    blocked = await put(store, BLOCK, alice, bob)
    assert await viewer_versions(store, alice) == ViewerVersions(blocked.version, 0)
    assert await viewer_versions(store, bob) == ViewerVersions(0, blocked.version)
    [follow] = changed_together([Edge(Pair(bob, alice))], True, CLOCK.now_us())
    await store.apply([follow], [])
    assert await viewer_versions(store, bob) == ViewerVersions(follow.after.version, blocked.version)
    freed = await put(store, BLOCK, alice, bob, stands=False)
    assert await viewer_versions(store, bob) == ViewerVersions(follow.after.version, freed.version)
    assert await store.versions([alice, bob]) == {alice: freed.version, bob: follow.after.version}


async def test_versions_are_raised_and_never_fall(store: GraphStore) -> None:
    alice, bob = accounts(2)
    block = await put(store, BLOCK, alice, bob)
    for own, blocked_by in ((20, 30), (10, 10)):
        await store.raise_versions({alice: block.version + own}, {bob: block.version + blocked_by})
    assert (await viewer_versions(store, alice)).own == block.version + 20
    assert (await viewer_versions(store, bob)).blocked_by == block.version + 30


async def test_ties_hold_all_four_sets_and_whom_one_follows_under_a_block(store: GraphStore) -> None:
    alice, bob, carol, dave, eve = accounts(5)
    for followee in (bob, carol):
        [follow] = changed_together([Edge(Pair(alice, followee))], True, CLOCK.now_us())
        await store.apply([follow], [])
    await put(store, BLOCK, alice, dave)
    mute = await put(store, MUTE, alice, eve, until_ms=CLOCK.now_ms() + 1000)
    await put(store, BLOCK, bob, alice)
    ties = await store.ties(alice)
    assert sorted(ties.followee_ids) == sorted([bob, carol])
    assert (list(ties.blocked_ids), list(ties.mutes), list(ties.blocked_by_ids)) == ([dave], [mute], [bob])
    assert not ties.more_blocked_by
    nobody = await store.ties(IDS.next())
    assert not any((nobody.followee_ids, nobody.blocked_ids, nobody.mutes, nobody.blocked_by_ids))


async def test_of_very_many_who_block_an_account_a_part_is_told_and_that_there_are_more(
    store: GraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("svc_graph.stances_cql", "svc_graph.stances_memory"):
        monkeypatch.setattr(f"{module}.READ_BLOCKERS", 3)
    alice, *others = accounts(5)
    for count, other in enumerate(others, start=1):
        await put(store, BLOCK, other, alice)
        ties = await store.ties(alice)
        assert list(ties.blocked_by_ids) == sorted(others[:count])[:3]
        assert ties.more_blocked_by == (count > 3)


async def test_versions_of_many_accounts_are_told_at_once(store: GraphStore) -> None:
    many = accounts(130)
    blocks = {one: await put(store, BLOCK, one, other) for one, other in zip(many[::10], many[1::10], strict=True)}
    found = await store.viewer_versions(many)
    assert {one: read.own for one, read in found.items() if read.own} == {
        one: block.version for one, block in blocks.items()
    }
    assert {one: read.blocked_by for one, read in found.items() if read.blocked_by} == {
        block.other_id: block.version for block in blocks.values()
    }
    assert list(found) == many
    assert await store.viewer_versions([]) == {}


@BOTH
async def test_what_stands_is_counted_without_mutes_whose_time_is_over(store: GraphStore, relation: Relation) -> None:
    alice, bob, carol, dave = accounts(4)
    now_ms = CLOCK.now_ms()
    await put(store, relation, alice, bob)
    await put(store, relation, alice, carol, stands=False)
    await put(store, MUTE, alice, dave, until_ms=now_ms - 1)
    assert await store.standing_count(relation, alice, now_ms) == 1
    assert await store.standing_count(relation, bob, now_ms) == 0
    assert await store.standing_count(MUTE, alice, now_ms - 2) == (2 if relation == MUTE else 1)


async def test_the_snapshot_that_is_kept_last_stays(store: GraphStore) -> None:
    alice, bob = accounts(2)
    nothing = Kept(ViewerVersions(0, 0), b"")
    assert await store.kept_snapshot(alice) == nothing
    for size in (200_000, 0, 7):
        await store.keep_snapshot(alice, b"x" * size)
        assert await store.kept_snapshot(alice) == Kept(nothing.versions, b"x" * size)
    assert await store.kept_snapshot(bob) == nothing


async def test_beside_the_kept_snapshot_are_the_versions_of_every_change_that_was_acknowledged(
    store: GraphStore,
) -> None:
    alice, bob = accounts(2)
    await store.keep_snapshot(alice, b"kept")
    block = await put(store, BLOCK, alice, bob)
    assert await store.kept_snapshot(alice) == Kept(ViewerVersions(block.version, 0), b"kept")
    await store.keep_snapshot(bob, b"kept")
    [follow] = changed_together([Edge(Pair(bob, alice))], True, CLOCK.now_us())
    await store.apply([follow], [])
    assert await store.kept_snapshot(bob) == Kept(ViewerVersions(follow.after.version, block.version), b"kept")
    freed = await put(store, BLOCK, alice, bob, stands=False)
    assert (await store.kept_snapshot(bob)).versions.blocked_by == freed.version
