"""Blocks of svc_graph on the real servers: against follows at the same moment, and healed by announcements when a process died."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aviary.graph.v1.graph_pb2 import (
    CompareSnapshotsRequest,
    GetRelationshipsRequest,
    GetViewerSnapshotRequest,
    GetViewerSnapshotResponse,
    ImportFollowsRequest,
    KnownSnapshot,
)
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub, add_GraphServiceServicer_to_server
from grpc import aio

from in_process import InProcessChannel
from runtime.bus import Consumers
from runtime.callers import CallerSigner
from runtime.config import MeshConfig, Secret
from runtime.errors import from_rpc
from runtime.guard import Guard
from runtime.ids import SystemClock, split_ids
from svc_graph.domain import Pair
from svc_graph.events import block_set
from svc_graph.servicer import GraphServicer
from svc_graph.stances import BLOCK, SETTLED_US, Stance, changed_stance
from svc_graph.workers import end_blocked_follows, end_void_follow
from tests.integration.graph_mesh import Everybody, GraphProcess, graph_process, tables, until


@pytest.fixture(scope="module")
def users() -> Everybody:
    return Everybody()


@pytest.fixture(scope="module")
async def two(mesh_config: MeshConfig, users: Everybody) -> AsyncIterator[list[GraphProcess]]:
    """Two processes that share the servers and nothing else; both consume their announcements."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(graph_process(mesh_config, users)) for _ in range(2)]
        handlers = [end_void_follow, end_blocked_follows]
        tasks = [asyncio.create_task(Consumers(each.bus, handlers, each.deps).run()) for each in processes]
        yield processes
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def snapshot(process: GraphProcess, viewer: uuid.UUID) -> GetViewerSnapshotResponse:
    request = GetViewerSnapshotRequest(user_id=viewer.bytes)
    answer: GetViewerSnapshotResponse = await process.stub.GetViewerSnapshot(request)
    return answer


async def nothing_follows(process: GraphProcess, one: uuid.UUID, other: uuid.UUID) -> bool:
    """Whether no follow between the two stands, fan-out has none, and no list shows one.

    A row of a list that lost a race may lie there until it is seen, and is deleted then: lists show only the truth.
    """
    store = process.deps.store
    for pair in (Pair(one, other), Pair(other, one)):
        [edge] = await store.edges([pair])
        if edge.version and edge.following:
            return False
        if edge.version:
            assert (await tables(process.cql, *pair)).mirror == []
        assert await store.list_following(pair.follower_id, None, 10) == []
        assert await store.list_followers(pair.followee_id, None, 10) == []
    return True


@pytest.mark.parametrize("attempt", range(10))
async def test_of_a_block_and_follows_at_the_same_moment_in_two_processes_the_block_wins(
    two: list[GraphProcess], users: Everybody, attempt: int
) -> None:
    """P46, P51: no table has a follow when all are answered, and nobody sees one from the answer of the block on."""
    alice, bob = users.account(), users.account()

    async def follow(who: uuid.UUID, whom: uuid.UUID, process: GraphProcess) -> str:
        await asyncio.sleep(0.002 * (attempt % 5))
        try:
            await process.follow(who, whom)
        except aio.AioRpcError as error:
            return from_rpc(error).reason
        return "followed"

    async def block() -> None:
        await two[0].block(alice, bob)
        request = GetRelationshipsRequest(user_id=bob.bytes, other_ids=[alice.bytes])
        [entry] = (await two[1].stub.GetRelationships(request)).entries
        assert (entry.following, entry.followed_by, entry.blocked_by) == (False, False, True)

    tried = [follow(bob, alice, two[1]), follow(alice, bob, two[1]), follow(bob, alice, two[0])]
    answers = (await asyncio.gather(block(), *tried))[1:]
    assert set(answers) <= {"followed", "BLOCKED"}
    assert await nothing_follows(two[0], alice, bob)


async def test_a_block_whose_process_died_ends_the_follows_when_its_announcement_arrives(
    two: list[GraphProcess], users: Everybody
) -> None:
    """P50: the row of the outbox lies in the batch of the block; whoever publishes it, nobody has to ask again."""
    alice, bob = users.account(), users.account()
    await two[0].follow(alice, bob)
    await two[1].follow(bob, alice)
    deps = two[0].deps
    before = Stance(BLOCK, alice, bob)
    after = changed_stance(before, True, 0, deps.clock.now_us())
    await deps.store.set_stance(before, after, [block_set(after)])
    # Void until then.
    assert not (await snapshot(two[1], alice)).followee_ids
    assert not (await snapshot(two[1], bob)).followee_ids
    await deps.outbox.publish_soon(block_set(after))
    await until(lambda: nothing_follows(two[1], alice, bob))


async def unchanged(process: GraphProcess, viewer: uuid.UUID, state: bytes) -> bool:
    request = CompareSnapshotsRequest(known=[KnownSnapshot(user_id=viewer.bytes, state=state)])
    return bool((await process.stub.CompareSnapshots(request)).unchanged)


def later(process: GraphProcess) -> GraphProcess:
    """A process by whose clock everything so far is settled."""
    deps = dataclasses.replace(process.deps, clock=Ahead())
    channel = InProcessChannel(Guard(CallerSigner(Secret(b"k" * 32), "edge", SystemClock())), service="edge")
    channel.register(add_GraphServiceServicer_to_server, GraphServicer(deps))
    return dataclasses.replace(process, deps=deps, stub=GraphServiceStub(channel))


class Ahead(SystemClock):
    """A clock of some seconds later."""

    def now_us(self) -> int:
        return super().now_us() + SETTLED_US

    def now_ms(self) -> int:
        return self.now_us() // 1000


async def test_a_snapshot_is_that_of_the_stored_sets_and_unchanged_until_one_changes(
    two: list[GraphProcess], users: Everybody
) -> None:
    alice, bob, carol, dave = (users.account() for _ in range(4))
    await two[0].follow(alice, bob)
    await two[0].block(alice, carol)
    await two[1].block(dave, alice)
    found = await snapshot(two[1], alice)
    assert split_ids(found.followee_ids) == [bob.bytes]
    assert split_ids(found.blocked_ids) == [carol.bytes]
    assert split_ids(found.blocked_by_ids) == [dave.bytes]
    assert not found.state, "others may be under way"
    state = (await snapshot(later(two[1]), alice)).state
    assert await unchanged(later(two[0]), alice, state)
    await two[0].unblock(dave, alice)
    assert not await unchanged(two[1], alice, state)
    assert (await snapshot(two[1], alice)).blocked_by_ids == b""


async def test_a_large_snapshot_that_one_process_keeps_another_serves_until_it_changes(
    two: list[GraphProcess], users: Everybody, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is, the answer waits until it is kept.
    monkeypatch.setattr("svc_graph.snapshots.KEPT_WITHIN_S", 10)
    alice, *others = (users.account() for _ in range(121))
    await two[0].stub.ImportFollows(ImportFollowsRequest(pairs=[alice.bytes + other.bytes for other in others]))
    found = await snapshot(later(two[0]), alice)
    assert len(split_ids(found.followee_ids)) == len(others)
    kept = await two[1].deps.store.kept_snapshot(alice)
    assert GetViewerSnapshotResponse.FromString(kept.snapshot) == found
    assert await snapshot(later(two[1]), alice) == found
    await two[0].unfollow(alice, others[0])
    assert split_ids((await snapshot(two[1], alice)).followee_ids) == sorted(other.bytes for other in others[1:])
