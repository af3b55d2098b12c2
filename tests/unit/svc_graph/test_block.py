"""Block: stored, announced, and the follows between the two are at an end, both ways."""

import uuid
from dataclasses import replace

import grpc
import pytest
from aviary.graph.v1.events_pb2 import BlockSet
from aviary.graph.v1.graph_pb2 import BlockRequest, BlockResponse, FollowRequest
from grpc import aio

from svc_graph import follows, standing
from svc_graph.domain import Pair
from svc_graph.events import block_set
from svc_graph.stances import BLOCK, Stance
from svc_graph.telling import follow_change, stance_change
from svc_graph.turns import Turns
from svc_graph.workers import end_blocked_follows, end_void_follow
from tests.unit.svc_graph.graph import Graph, refusal


def blocks(graph: Graph) -> list[BlockSet]:
    """Every announcement of a block so far, each once."""
    return [event for event in graph.bus.published if isinstance(event, BlockSet)]


async def half_block(graph: Graph, who: uuid.UUID, whom: uuid.UUID) -> Stance:
    """A block whose process died when it was stored."""
    [before] = await graph.store.stances(BLOCK, who, [whom])
    after = Stance(BLOCK, who, whom, True, graph.clock.now_us() | 1)
    await graph.store.set_stance(before, after, [block_set(after)])
    return after


async def test_a_block_is_answered_stored_and_announced(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    with graph.acting(alice):
        answer = await graph.stub.Block(BlockRequest(user_id=str(bob)))
    assert answer == BlockResponse(user_id=str(bob), blocking=True)
    [stance] = await graph.store.stances(BLOCK, alice, [bob])
    [event] = blocks(graph)
    assert stance.stands
    assert (event.blocker_id, event.blocked_id, event.blocking) == (alice.bytes, bob.bytes, True)
    assert (event.version, event.occurred_at.ToMicroseconds()) == (stance.version, stance.version)


async def test_a_block_ends_follows_both_ways_and_counts_follow(graph: Graph) -> None:
    """P46."""
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.follow(bob, alice)
    await graph.block(alice, bob)
    edges = await graph.store.edges([Pair(alice, bob), Pair(bob, alice)])
    assert [edge.following for edge in edges] == [False, False]
    ended = {(event.follower_id, event.version) for event in graph.published() if not event.following}
    assert ended == {(edge.pair.follower_id.bytes, edge.version) for edge in edges}
    assert len([event for event in graph.mirrored() if not event.following]) == 2
    assert [own.delta for own in graph.own(alice).follows] == [-1, 1]


async def test_an_unblock_restores_nothing(graph: Graph) -> None:
    """P46."""
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.follow(bob, alice)
    await graph.block(alice, bob)
    await graph.unblock(alice, bob)
    edges = await graph.store.edges([Pair(alice, bob), Pair(bob, alice)])
    assert [edge.following for edge in edges] == [False, False]


async def test_an_unblock_restores_nothing_that_a_block_died_before_ending(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(bob, alice)
    await half_block(graph, alice, bob)
    await graph.unblock(alice, bob)
    [edge] = await graph.store.edges([Pair(bob, alice)])
    assert not edge.following


async def test_a_repetition_ends_what_the_first_try_died_before_ending(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(bob, alice)
    stance = await half_block(graph, alice, bob)
    await graph.block(alice, bob)
    [edge] = await graph.store.edges([Pair(bob, alice)])
    assert not edge.following
    assert await graph.store.stances(BLOCK, alice, [bob]) == [stance]


async def test_the_announcement_of_a_block_ends_what_its_process_died_before_ending(graph: Graph) -> None:
    """P50: nobody comes back; the relay publishes what was stored together with the block."""
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.follow(bob, alice)
    stance = await half_block(graph, alice, bob)
    await end_blocked_follows(block_set(stance), graph.deps)
    edges = await graph.store.edges([Pair(alice, bob), Pair(bob, alice)])
    assert [edge.following for edge in edges] == [False, False]
    assert len([event for event in graph.mirrored() if not event.following]) == 2
    assert {(change.user_id, change.set) for change in graph.told()[-2:]} == {(alice.bytes, False), (bob.bytes, False)}
    seen = len(graph.bus.published)
    await end_blocked_follows(block_set(stance), graph.deps)
    assert len(graph.bus.published) == seen


async def test_the_announcement_of_a_follow_ends_it_when_it_stands_under_a_block(graph: Graph) -> None:
    """P50: the follow's process died before it read the blocks again, after the block had looked for follows."""
    alice, bob = graph.account(), graph.account()
    await graph.follow(bob, alice)
    [_, event] = graph.published()[-1:] * 2
    await end_void_follow(event, graph.deps)
    assert (await graph.store.edges([Pair(bob, alice)]))[0].following
    await half_block(graph, alice, bob)
    await end_void_follow(event, graph.deps)
    assert not (await graph.store.edges([Pair(bob, alice)]))[0].following


async def test_an_announcement_that_comes_late_never_ends_a_follow_that_was_set_after_the_block(graph: Graph) -> None:
    """Another process ends the block and sets the follow anew, after this one has read the follow and the block."""
    alice, bob = graph.account(), graph.account()
    await graph.follow(bob, alice)
    stance = await half_block(graph, alice, bob)
    elsewhere = replace(graph.deps, turns=Turns())
    read = graph.store.blockers_among
    reads = 0

    async def then_all_is_forgiven(user_id: uuid.UUID, others: list[uuid.UUID]) -> dict[uuid.UUID, int]:
        nonlocal reads
        found, reads = await read(user_id, others), reads + 1
        if reads == 2:
            await standing.unblock(alice, bob, elsewhere)
            await follows.follow(Pair(bob, alice), elsewhere)
        return found

    graph.store.blockers_among = then_all_is_forgiven  # type: ignore[assignment, method-assign]
    await end_blocked_follows(block_set(stance), graph.deps)
    assert reads > 2
    assert (await graph.store.edges([Pair(bob, alice)]))[0].following


async def test_every_cache_is_told_of_the_block_and_of_the_ended_follows_before_the_answer(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(bob, alice)
    seen = len(graph.told())
    await graph.block(alice, bob)
    [edge] = await graph.store.edges([Pair(bob, alice)])
    [stance] = await graph.store.stances(BLOCK, alice, [bob])
    told = graph.told()[seen:]
    assert follow_change(edge) in told
    assert stance_change(stance) in told
    await graph.block(alice, bob)
    assert graph.told()[-1] == stance_change(stance)


async def test_a_block_that_fails_makes_every_cache_doubt(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may stand all the same, and nobody was told."""
    alice, bob = graph.account(), graph.account()

    async def fails(*_: object, **__: object) -> None:
        raise aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "away")

    monkeypatch.setattr(graph.store, "set_stance", fails)
    with graph.acting(alice):
        await refusal(graph.stub.Block(BlockRequest(user_id=str(bob))))
    await graph.deps.signals.goodbye()
    assert graph.bus.signals[-1].sequence == 1


async def test_the_own_reads_of_both_see_the_block(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(bob, alice)
    await graph.block(alice, bob)
    versions = await graph.store.versions([alice, bob])
    assert graph.own(alice).graph_version == versions[alice]
    assert graph.own(bob).graph_version == versions[bob]


async def test_nobody_blocks_oneself(graph: Graph) -> None:
    alice = graph.account()
    with graph.acting(alice):
        error = await refusal(graph.stub.Block(BlockRequest(user_id=str(alice))))
    assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CANNOT_BLOCK_SELF")


async def test_an_unknown_or_deleted_account_cannot_be_blocked_and_a_suspended_one_can(graph: Graph) -> None:
    alice, gone, suspended = graph.account(), graph.account(), graph.account()
    graph.users.deleted.add(gone.bytes)
    graph.users.suspended.add(suspended.bytes)
    for other in (gone, uuid.uuid4()):
        with graph.acting(alice):
            error = await refusal(graph.stub.Block(BlockRequest(user_id=str(other))))
        assert (error.status, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    await graph.block(alice, suspended)


async def test_blocks_both_ways_stand_by_themselves(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.block(alice, bob)
    await graph.block(bob, alice)
    await graph.unblock(alice, bob)
    with graph.acting(alice):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(bob))))
    assert error.reason == "BLOCKED"


async def test_only_users_with_the_scope_block(graph: Graph) -> None:
    bob = graph.account()
    for who, scopes, reason in ((None, (), "TOKEN_MISSING"), (graph.account(), ("read",), "INSUFFICIENT_SCOPE")):
        with graph.acting(who, scopes):
            error = await refusal(graph.stub.Block(BlockRequest(user_id=str(bob))))
        assert error.reason == reason
