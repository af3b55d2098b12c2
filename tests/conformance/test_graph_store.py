"""What GraphStore promises, sentence by sentence, in memory and on the real server."""

import dataclasses
import itertools
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from cql_client import Cql
from outbox import CqlOutbox, CqlOutboxTable, Outbox
from runtime.config import MeshConfig
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from svc_graph.domain import WHOLE, Change, Edge, Pair, Shard, Snapshot, changed_together
from svc_graph.events import follow_set
from svc_graph.levels_cql import CqlLevels, LevelLimits
from svc_graph.packed import PackedPage
from svc_graph.store import SCHEMA, GraphStore
from svc_graph.store_cql import CqlGraphStore
from svc_graph.store_memory import MemoryGraphStore

CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)


@dataclass(frozen=True)
class Subject:
    """A store and the outbox that it announces to."""

    store: GraphStore
    outbox: CqlOutbox | MemoryOutbox


@pytest.fixture(scope="session")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    # Not the keyspace of the service: nobody publishes the announcements that are written here.
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="graph_store"), SCHEMA)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "cql"])
def subject(request: pytest.FixtureRequest) -> Subject:
    bus = MemoryBus("svc_graph")
    if request.param == "memory":
        memory = MemoryOutbox(bus, CLOCK)
        return Subject(MemoryGraphStore(memory.write), memory)
    cql: Cql = request.getfixturevalue("cql")
    outbox = Outbox(CqlOutboxTable(cql, CLOCK), bus, CLOCK, NO_FAULTS)
    return Subject(CqlGraphStore(cql, outbox, CqlLevels(cql, LevelLimits()), snapshot_page=7), outbox)


@pytest.fixture
def store(subject: Subject) -> GraphStore:
    return subject.store


def accounts(count: int) -> list[uuid.UUID]:
    return [IDS.next() for _ in range(count)]


async def change(store: GraphStore, pairs: list[Pair], following: bool) -> list[Change]:
    done: list[Change] = []
    for start in range(0, len(pairs), 25):
        changes = changed_together(await store.edges(pairs[start : start + 25]), following, CLOCK.now_us())
        await store.apply(changes, [follow_set(c.after) for c in changes])
        done += changes
    return done


async def follow(store: GraphStore, *pairs: Pair) -> list[Change]:
    return await change(store, list(pairs), True)


async def unfollow(store: GraphStore, *pairs: Pair) -> list[Change]:
    return await change(store, list(pairs), False)


async def following(store: GraphStore, who: uuid.UUID) -> list[uuid.UUID]:
    return [row.user_id for row in await store.list_following(who, None, 1000)]


async def followers(store: GraphStore, who: uuid.UUID) -> list[uuid.UUID]:
    return [row.user_id for row in await store.list_followers(who, None, 1000)]


async def test_a_pair_that_was_never_set_has_version_0_and_does_not_follow(store: GraphStore) -> None:
    pair = Pair(*accounts(2))
    assert await store.edges([pair]) == [Edge(pair, following=False, version=0)]


async def test_edges_come_in_the_order_asked_for_however_many(store: GraphStore) -> None:
    alice, carol, *others = accounts(230)
    pairs = [Pair(alice, other) for other in others] + [Pair(carol, alice)]
    await follow(store, *pairs[::2])
    asked = pairs[::-1]
    edges = await store.edges(asked)
    assert [edge.pair for edge in edges] == asked
    assert [edge.following for edge in edges] == [pair in set(pairs[::2]) for pair in asked]


async def test_edges_of_many_followers_come_in_the_order_asked_for_too(store: GraphStore) -> None:
    alice, *others = accounts(230)
    pairs = [Pair(other, alice) for other in others]
    await follow(store, *pairs[::2])
    edges = await store.edges(pairs[::-1])
    assert [edge.pair for edge in edges] == pairs[::-1]
    assert [edge.following for edge in edges] == [pair in set(pairs[::2]) for pair in pairs[::-1]]
    versions = await store.versions(others)
    assert [version > 0 for version in versions.values()] == [pair in set(pairs[::2]) for pair in pairs]


async def test_edges_see_every_change_that_was_acknowledged(store: GraphStore) -> None:
    pair = Pair(*accounts(2))
    for step in (follow, unfollow, follow):
        [done] = await step(store, pair)
        assert await store.edges([pair]) == [done.after]


async def test_no_edges_asked_for_are_none(store: GraphStore) -> None:
    assert await store.edges([]) == []


async def test_the_version_of_a_follower_is_that_of_the_latest_change_of_any_pair(store: GraphStore) -> None:
    alice, bob, carol = accounts(3)
    await follow(store, Pair(alice, bob))
    [latest] = await follow(store, Pair(alice, carol))
    assert await store.versions([alice]) == {alice: latest.after.version}
    [latest] = await unfollow(store, Pair(alice, bob))
    assert await store.versions([alice]) == {alice: latest.after.version}


async def test_a_follower_that_never_changed_has_version_0_even_when_followed(store: GraphStore) -> None:
    alice, bob = accounts(2)
    await follow(store, Pair(alice, bob))
    assert await store.versions([bob]) == {bob: 0}


async def test_a_change_that_is_older_than_the_stored_state_changes_nothing(store: GraphStore) -> None:
    alice, bob = accounts(2)
    pair = Pair(alice, bob)
    [old] = changed_together([Edge(pair)], True, CLOCK.now_us())
    [first] = changed_together([Edge(pair)], True, old.after.version + 10)
    [second] = changed_together([first.after], False, 0)
    for one in (first, second, old):
        await store.apply([one], [])
    assert await store.edges([pair]) == [second.after]
    assert (await store.versions([alice]))[alice] == second.after.version
    assert await following(store, alice) == await followers(store, bob) == []
    assert await store.follower_page(bob, WHOLE, None, 10) == []
    assert await store.followers_among(bob, [alice]) == set()
    assert (await store.snapshot(alice)).followee_ids == []


async def test_storing_a_change_twice_is_storing_it_once(store: GraphStore) -> None:
    alice, bob = accounts(2)
    [done] = await follow(store, Pair(alice, bob))
    await store.apply([done], [])
    assert await following(store, alice) == [bob]
    assert await followers(store, bob) == [alice]
    [gone] = await unfollow(store, Pair(alice, bob))
    await store.apply([gone], [])
    assert await following(store, alice) == await followers(store, bob) == []


async def test_announcements_are_stored_with_the_changes(subject: Subject) -> None:
    before = (await subject.outbox.backlog())[0]
    alice, bob, carol = accounts(3)
    await follow(subject.store, Pair(alice, bob), Pair(alice, carol))
    assert (await subject.outbox.backlog())[0] == before + 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_racing_changes_end_in_one_state_whatever_the_order_in_which_they_are_stored(
    store: GraphStore, order: tuple[int, ...]
) -> None:
    """P51: four processes read the same state of a pair and change it; the greatest version is what every read shows."""
    alice, bob = accounts(2)
    pair, now = Pair(alice, bob), CLOCK.now_us()
    [start] = changed_together([Edge(pair)], True, now - 1000)
    await store.apply([start], [])
    [gone] = changed_together([start.after], False, now)
    [back] = changed_together([gone.after], True, now)
    [late] = changed_together([start.after], False, now + 2)
    [last] = changed_together([Edge(pair)], True, now + 100)
    racing = [gone, back, late, last]
    for i in order:
        await store.apply([racing[i]], [])
    assert await store.edges([pair]) == [last.after]
    assert [(row.user_id, row.follow_id) for row in await store.list_following(alice, None, 10)] == [
        (bob, last.after.follow_id)
    ]
    assert [(row.user_id, row.follow_id) for row in await store.list_followers(bob, None, 10)] == [
        (alice, last.after.follow_id)
    ]
    assert await store.follower_page(bob, WHOLE, None, 10) == [alice]
    assert await store.snapshot(alice) == Snapshot([bob], last.after.version)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_an_unfollow_that_wins_a_race_leaves_no_trace_of_the_follows_it_never_saw(
    store: GraphStore, order: tuple[int, ...]
) -> None:
    """P51: the follows have rows by time that the unfollow did not know of."""
    alice, bob = accounts(2)
    pair, now = Pair(alice, bob), CLOCK.now_us()
    [one] = changed_together([Edge(pair)], True, now)
    [two] = changed_together([Edge(pair)], True, now + 10)
    [gone] = changed_together([one.after], False, now + 20)
    for i in order:
        await store.apply([(one, two, gone)[i]], [])
    assert await following(store, alice) == await followers(store, bob) == []
    assert await store.follower_page(bob, WHOLE, None, 10) == []
    assert (await store.snapshot(alice)).followee_ids == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("odd", [0, 1])
async def test_a_follow_and_an_unfollow_in_one_microsecond_end_in_one_state_in_every_read(
    store: GraphStore, order: tuple[int, ...], odd: int
) -> None:
    """P51: one process unfollows what it read as followed, another follows again what it read as unfollowed."""
    alice, bob = accounts(2)
    pair, now = Pair(alice, bob), CLOCK.now_us() // 2 * 2 + odd
    [start] = changed_together([Edge(pair)], True, now - 1000)
    await store.apply([start], [])
    [gone] = changed_together([start.after], False, now - 500)
    [back] = changed_together([gone.after], True, now)
    [late] = changed_together([start.after], False, now)
    for i in order:
        await store.apply([(gone, back, late)[i]], [])
    [edge] = await store.edges([pair])
    assert edge == max(back.after, late.after, key=lambda one: one.version)
    assert await following(store, alice) == ([bob] if edge.following else [])
    assert await followers(store, bob) == ([alice] if edge.following else [])
    assert await store.follower_page(bob, WHOLE, None, 10) == ([alice] if edge.following else [])
    assert await store.snapshot(alice) == Snapshot([bob] if edge.following else [], edge.version)


async def test_two_follows_in_one_microsecond_are_one(store: GraphStore) -> None:
    """P51: both write the same cells, and announce the same event."""
    alice, bob = accounts(2)
    now = CLOCK.now_us()
    [one] = changed_together([Edge(Pair(alice, bob))], True, now)
    [two] = changed_together([Edge(Pair(alice, bob))], True, now)
    assert (one, follow_set(one.after)) == (two, follow_set(two.after))
    for same in (one, two):
        await store.apply([same], [])
    assert await following(store, alice) == [bob]


async def test_lists_are_latest_follow_first(store: GraphStore) -> None:
    alice, *others = accounts(5)
    for other in others:
        await follow(store, Pair(alice, other))
        await follow(store, Pair(other, alice))
    assert await following(store, alice) == others[::-1]
    assert await followers(store, alice) == others[::-1]


async def test_a_list_starts_strictly_below_before(store: GraphStore) -> None:
    alice, *others = accounts(5)
    for other in others:
        await follow(store, Pair(alice, other))
        await follow(store, Pair(other, alice))
    for read in (store.list_following, store.list_followers):
        whole = await read(alice, None, 10)
        for i, row in enumerate(whole):
            assert await read(alice, row.follow_id, 10) == whole[i + 1 :]


async def test_a_list_holds_at_most_limit_and_fewer_only_at_the_end(store: GraphStore) -> None:
    """P32: rows that a lost race left behind do not shorten a page."""
    alice, *others = accounts(9)
    for other in others:
        start = CLOCK.now_us()
        [lost] = changed_together([Edge(Pair(alice, other))], True, start)
        [won] = changed_together([Edge(Pair(alice, other))], True, start + 10)
        [lost_back] = changed_together([Edge(Pair(other, alice))], True, start)
        [won_back] = changed_together([Edge(Pair(other, alice))], True, start + 10)
        for one in (lost, won, lost_back, won_back):
            await store.apply([one], [])
    for read in (store.list_following, store.list_followers):
        assert [row.user_id for row in await read(alice, None, 5)] == others[:2:-1]
        assert [row.user_id for row in await read(alice, None, 8)] == others[::-1]
        assert len(await read(alice, None, 100)) == 8


async def test_nobody_is_in_a_list_twice_after_following_again(store: GraphStore) -> None:
    alice, bob, carol = accounts(3)
    for _ in range(3):
        await follow(store, Pair(alice, bob))
        await follow(store, Pair(alice, carol))
        await unfollow(store, Pair(alice, bob))
    await follow(store, Pair(alice, bob))
    assert await following(store, alice) == [bob, carol]
    assert await followers(store, bob) == [alice]


async def test_lists_longer_than_a_query_takes_keys_are_whole(store: GraphStore) -> None:
    alice, *others = accounts(130)
    await follow(store, *(Pair(alice, other) for other in others))
    await follow(store, *(Pair(other, alice) for other in others))
    assert sorted(await following(store, alice)) == sorted(others)
    assert sorted(await followers(store, alice)) == sorted(others)


async def test_an_unknown_account_follows_nobody_and_has_no_followers(store: GraphStore) -> None:
    [nobody] = accounts(1)
    assert await following(store, nobody) == await followers(store, nobody) == []
    assert await store.follower_page(nobody, WHOLE, None, 10) == []


async def test_a_snapshot_holds_everybody_followed_now_with_the_version_of_the_latest_change(
    store: GraphStore,
) -> None:
    alice, *others = accounts(21)
    await follow(store, *(Pair(alice, other) for other in others))
    [gone] = await unfollow(store, Pair(alice, others[3]))
    snapshot = await store.snapshot(alice)
    assert sorted(snapshot.followee_ids) == sorted(set(others) - {others[3]})
    assert snapshot.version == gone.after.version


async def test_the_snapshot_of_an_account_that_never_changed_is_empty_with_version_0(store: GraphStore) -> None:
    alice, bob = accounts(2)
    await follow(store, Pair(alice, bob))
    snapshot = await store.snapshot(bob)
    assert (list(snapshot.followee_ids), snapshot.version) == ([], 0)


async def test_follower_pages_ascend_strictly_from_after_and_are_short_only_at_the_end(store: GraphStore) -> None:
    alice, *others = accounts(10)
    await follow(store, *(Pair(other, alice) for other in others))
    await unfollow(store, Pair(others[4], alice))
    expected = sorted(set(others) - {others[4]})
    assert await store.follower_page(alice, WHOLE, None, 5) == expected[:5]
    assert await store.follower_page(alice, WHOLE, expected[4], 5) == expected[5:]
    assert await store.follower_page(alice, WHOLE, expected[-1], 5) == []


@pytest.mark.parametrize("shard", [Shard(1, 0), Shard(0, 1)])
async def test_a_shard_that_does_not_exist_is_empty(store: GraphStore, shard: Shard) -> None:
    alice, bob = accounts(2)
    await follow(store, Pair(alice, bob))
    assert await store.follower_page(bob, shard, None, 10) == []


async def test_followers_among_others_are_those_who_follow_now(store: GraphStore) -> None:
    alice, *others = accounts(120)
    await follow(store, *(Pair(other, alice) for other in others[:110]))
    await unfollow(store, Pair(others[0], alice))
    assert await store.followers_among(alice, others) == set(others[1:110])
    assert await store.followers_among(alice, []) == set()


async def test_followees_ascend_strictly_from_after_whoever_was_unfollowed_between_them(store: GraphStore) -> None:
    alice, *others = accounts(12)
    await follow(store, *(Pair(alice, other) for other in others))
    await unfollow(store, *(Pair(alice, other) for other in others[1:9]))
    left = [others[0], *others[9:]]
    assert await store.followees_page(alice, None, 2) == left[:2]
    assert await store.followees_page(alice, left[0], 100) == left[1:]
    assert await store.followees_page(alice, left[-1], 100) == []
    assert await store.followees_page(others[0], None, 100) == []


async def test_the_newest_followees_of_several_are_latest_first_and_at_most_so_many_each(store: GraphStore) -> None:
    alice, bob, *others = accounts(6)
    for other in others:
        await follow(store, Pair(alice, other))
    await follow(store, Pair(bob, alice))
    assert await store.newest_followees([alice, bob, others[0]], 3) == {
        alice: others[:0:-1],
        bob: [alice],
        others[0]: [],
    }
    assert await store.newest_followees([], 3) == {}


async def test_follows_of_others_are_named_by_the_id_of_their_state(store: GraphStore) -> None:
    alice, *others = accounts(120)
    done = await follow(store, *(Pair(other, alice) for other in others[:110]))
    assert await store.follows_from(alice, others) == {c.after.pair.follower_id: c.after.follow_id for c in done}


async def test_a_packed_page_is_the_page_as_bytes_and_says_whether_more_come(store: GraphStore) -> None:
    alice, *others = accounts(6)
    await follow(store, *(Pair(other, alice) for other in others))
    ids = sorted(other.bytes for other in others)
    assert await store.packed_page(alice, WHOLE, None, 3) == PackedPage(b"".join(ids[:3]), has_more=True)
    assert await store.packed_page(alice, WHOLE, uuid.UUID(bytes=ids[2]), 2) == PackedPage(
        b"".join(ids[3:]), has_more=False
    )
    await unfollow(store, Pair(others[0], alice))
    assert await store.packed_page(alice, WHOLE, None, 10) == PackedPage(b"".join(ids[1:]), has_more=False)


async def test_every_follower_is_in_one_of_the_shards(store: GraphStore) -> None:
    alice, *others = accounts(6)
    await follow(store, *(Pair(other, alice) for other in others))
    found = [
        one for shard in await store.follower_shards(alice) for one in await store.follower_page(alice, shard, None, 10)
    ]
    assert sorted(found) == sorted(others)
    [nobody] = accounts(1)
    assert [await store.follower_page(nobody, shard, None, 10) for shard in await store.follower_shards(nobody)] == [[]]
