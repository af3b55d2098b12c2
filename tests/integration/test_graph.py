"""svc_graph on the real servers: races between processes, paging while follows are made, events once per change."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aviary.graph.v1.graph_pb2 import (
    FollowerShard,
    GetFollowerPageRequest,
    GetFollowSnapshotRequest,
    ImportFollowsRequest,
    ListFollowersByTimeRequest,
    ListFollowingByTimeRequest,
)

from readers.recent import Own
from runtime.config import MeshConfig
from runtime.ids import split_ids
from svc_graph.domain import Edge, Pair, changed_together, follow_id
from svc_graph.levels import Level
from svc_graph.levels_cql import CqlLevels, LevelLimits
from svc_graph.store_cql import CqlGraphStore
from svc_graph.time_lists import TimeLists
from tests.integration.graph_mesh import Everybody, GraphProcess, Seen, graph_process, seen_by, tables, until
from tests.pipelines import executed_pipelines


@pytest.fixture(scope="module")
def users() -> Everybody:
    return Everybody()


@pytest.fixture(scope="module")
async def two(mesh_config: MeshConfig, users: Everybody) -> AsyncIterator[list[GraphProcess]]:
    """Two processes that share the servers and nothing else."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(graph_process(mesh_config, users)) for _ in range(2)]


@pytest.fixture(scope="module")
async def seen(two: list[GraphProcess]) -> AsyncIterator[Seen]:
    collected, consumers = seen_by(two[0].bus, "graph-test")
    task = asyncio.create_task(consumers.run())
    yield collected
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def outbox_is_empty(process: GraphProcess) -> bool:
    return (await process.deps.outbox.backlog())[0] == 0


async def listed(process: GraphProcess, follower: uuid.UUID, followee: uuid.UUID) -> tuple[bool, bool, bool, bool]:
    """Whether each read shows the follow: both lists, the snapshot, the follower page."""
    following = await process.stub.ListFollowingByTime(ListFollowingByTimeRequest(user_id=follower.bytes, limit=1000))
    followers = await process.stub.ListFollowersByTime(ListFollowersByTimeRequest(user_id=followee.bytes, limit=1000))
    snapshot = await process.stub.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=follower.bytes))
    page = await process.stub.GetFollowerPage(GetFollowerPageRequest(user_id=followee.bytes, shard=FollowerShard()))
    return (
        [entry.user_id for entry in following.entries] == [followee.bytes],
        [entry.user_id for entry in followers.entries] == [follower.bytes],
        split_ids(snapshot.followee_ids) == [followee.bytes],
        split_ids(page.follower_ids) == [follower.bytes],
    )


@pytest.mark.parametrize("attempt", range(5))
async def test_a_hundred_racing_follows_and_unfollows_in_two_processes_end_with_all_tables_agreeing(
    two: list[GraphProcess], users: Everybody, seen: Seen, attempt: int
) -> None:
    """P50, P51: every read shows the state of the truth, after which no table holds more than that, and events tell it."""
    alice, bob = users.account(), users.account()
    await two[0].follow(alice, bob)

    async def change_ten_times(worker: int) -> None:
        for step in range(10):
            process = two[worker % 2]
            await (process.follow, process.unfollow)[(worker // 2 + step) % 2](alice, bob)

    # Ten at a time: turns in a process are taken one after another, and each call has its deadline.
    await asyncio.gather(*(change_ten_times(worker) for worker in range(10)))
    [edge] = await two[0].deps.store.edges([Pair(alice, bob)])
    assert await listed(two[0], alice, bob) == (edge.following,) * 4
    ids = [edge.follow_id] if edge.following else []
    left = await tables(two[1].cql, alice, bob)
    assert left.edge == (edge.following, edge.version)
    assert left.mirror == left.following_by_time == left.followers_by_time == ids
    await until(lambda: any(event.version == edge.version for event in seen.of(alice)))
    last = seen.of(alice)[-1]
    assert (last.version, last.following) == (edge.version, edge.following)


async def test_a_listed_row_whose_batch_is_still_being_applied_is_hidden_and_not_cleared(
    two: list[GraphProcess], users: Everybody
) -> None:
    """P51: batches are not isolated, so a list may show a row before its edge is there."""
    alice, bob = users.account(), users.account()
    store, cql = two[0].deps.store, two[0].cql
    assert isinstance(store, CqlGraphStore)
    [change] = changed_together([Edge(Pair(alice, bob))], True, two[0].deps.clock.now_us())
    rows = TimeLists(cql, store, CqlLevels(cql, LevelLimits())).added(change.after, Level())
    await cql.logged_batch(list(rows), timestamp_us=change.after.version)
    assert await store.list_following(alice, None, 10) == await store.list_followers(bob, None, 10) == []
    await store.apply([change], [])
    assert [row.user_id for row in await store.list_following(alice, None, 10)] == [bob]
    assert [row.user_id for row in await store.list_followers(bob, None, 10)] == [alice]


async def test_many_pairs_of_one_follower_changed_in_two_processes_agree(
    two: list[GraphProcess], users: Everybody
) -> None:
    """P51."""
    alice, *others = (users.account() for _ in range(11))
    async with asyncio.TaskGroup() as group:
        for other in others:
            for step in range(6):
                process = two[step % 2]
                group.create_task((process.follow, process.unfollow)[step % 2](alice, other))
    snapshot = await two[0].deps.store.snapshot(alice)
    edges = await two[1].deps.store.edges([Pair(alice, other) for other in others])
    followed = {edge.pair.followee_id for edge in edges if edge.following}
    assert set(snapshot.followee_ids) == followed
    # At least: two processes that changed at the same moment raise it once more.
    assert snapshot.version >= max(edge.version for edge in edges)
    assert {row.user_id for row in await two[0].deps.store.list_following(alice, None, 1000)} == followed
    for edge in edges:
        left = await tables(two[0].cql, alice, edge.pair.followee_id)
        assert left.mirror == left.following_by_time == ([edge.follow_id] if edge.following else [])


async def test_each_change_is_announced_once_and_its_row_leaves_the_outbox(
    two: list[GraphProcess], users: Everybody, seen: Seen
) -> None:
    alice, bob = users.account(), users.account()
    await two[0].follow(alice, bob)
    await two[1].follow(alice, bob)
    await two[1].unfollow(alice, bob)
    await two[0].unfollow(alice, bob)
    await two[0].follow(alice, bob)
    await until(lambda: len(seen.of(alice)) == 3)
    assert [event.following for event in seen.of(alice)] == [True, False, True]
    await until(lambda: outbox_is_empty(two[0]))
    assert len(seen.of(alice)) == 3


async def test_the_followers_next_read_knows_the_version_of_the_change(
    two: list[GraphProcess], users: Everybody
) -> None:
    """P13, for follows."""
    alice, bob = users.account(), users.account()
    await two[0].follow(alice, bob)
    version = (await two[1].deps.store.versions([alice]))[alice]
    own = Own.of(await two[1].recent.read(alice.bytes))
    assert own.graph_version == version
    assert [(follow.followee_id, follow.delta, follow.version) for follow in own.follows] == [(bob.bytes, 1, version)]
    snapshot = await two[1].stub.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=alice.bytes))
    assert snapshot.version == version


@pytest.mark.parametrize("limit", [1, 3, 10, 25])
async def test_any_page_size_gives_the_same_whole_while_follows_are_made(
    two: list[GraphProcess], users: Everybody, limit: int
) -> None:
    """P31, in both lists, with changes between any two pages."""
    alice, *others = (users.account() for _ in range(21))
    pairs = [pair for other in others for pair in (alice.bytes + other.bytes, other.bytes + alice.bytes)]
    await two[0].stub.ImportFollows(ImportFollowsRequest(pairs=pairs))
    for list_page, request in (
        (two[1].stub.ListFollowingByTime, ListFollowingByTimeRequest(user_id=alice.bytes, limit=limit)),
        (two[1].stub.ListFollowersByTime, ListFollowersByTimeRequest(user_id=alice.bytes, limit=limit)),
    ):
        seen: list[bytes] = []
        while True:
            page = await list_page(request)
            seen += [entry.user_id for entry in page.entries]
            if not page.next_cursor:
                break
            request.cursor = page.next_cursor
            newcomer = users.account()
            await two[0].follow(alice, newcomer)
            await two[0].follow(newcomer, alice)
        whole = {other.bytes for other in others}
        assert [one for one in seen if one in whole] == seen[-len(others) :]
        assert set(seen[-len(others) :]) == whole
        assert len(seen) == len(set(seen))


async def test_an_import_of_500_has_the_rows_and_events_of_follow(
    two: list[GraphProcess], users: Everybody, seen: Seen
) -> None:
    people = [users.account() for _ in range(25)]
    pairs = [Pair(a, b) for a in people for b in people if a != b][:500]
    packed = [pair.follower_id.bytes + pair.followee_id.bytes for pair in pairs]
    request = ImportFollowsRequest(pairs=packed)
    assert (await two[0].stub.ImportFollows(request)).created == 500
    assert (await two[1].stub.ImportFollows(request)).created == 0
    for pair in pairs[::50]:
        left = await tables(two[1].cql, pair.follower_id, pair.followee_id)
        assert left.edge[0]
        assert left.mirror == left.following_by_time == left.followers_by_time == [follow_id(pair, left.edge[1])]
    await until(lambda: len(seen.of(*people)) >= 500)
    assert {event.follower_id + event.followee_id for event in seen.of(*people)} == set(packed)
    assert len(seen.of(*people)) == 500


async def test_an_import_of_500_followers_asks_redis_five_times_and_each_reads_their_own_follow(
    two: list[GraphProcess], users: Everybody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The users' own follows need the same connections meanwhile."""
    star, *followers = (users.account() for _ in range(501))
    trips = executed_pipelines(monkeypatch)
    await two[0].stub.ImportFollows(ImportFollowsRequest(pairs=[one.bytes + star.bytes for one in followers]))
    assert len(trips) == 5
    versions = await two[1].deps.store.versions(followers)
    for follower in followers:
        own = Own.of(await two[1].recent.read(follower.bytes))
        assert own.graph_version == versions[follower] > 0
