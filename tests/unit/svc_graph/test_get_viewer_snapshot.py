"""GetViewerSnapshot: all four sets, a state that changes with each of them, and is kept while none does."""

import uuid
from collections.abc import Awaitable, Callable

import pytest
from aviary.graph.v1.events_pb2 import BlockSet, FollowSet
from aviary.graph.v1.graph_pb2 import (
    GetViewerSnapshotRequest,
)

from runtime.ids import split_ids
from svc_graph.snapshots import snapshot_of
from svc_graph.stances import BLOCK, SETTLED_US, Stance, changed_stance
from svc_graph.workers import end_blocked_follows, end_void_follow
from tests.unit.svc_graph.graph import Graph, refusal
from tests.unit.svc_graph.states import counting, snapshot, unchanged, wait


async def test_a_snapshot_holds_follows_blocks_mutes_and_who_blocks(graph: Graph) -> None:
    alice, bob, carol, dave, eve, frank = (graph.account() for _ in range(6))
    await graph.follow(alice, bob)
    await graph.block(alice, carol)
    await graph.mute(alice, dave)
    await graph.mute(alice, eve, 60)
    await graph.block(frank, alice)
    found = await snapshot(graph, alice)
    assert split_ids(found.followee_ids) == [bob.bytes]
    assert split_ids(found.blocked_ids) == [carol.bytes]
    assert split_ids(found.blocked_by_ids) == [frank.bytes]
    mutes = dict(zip(split_ids(found.muted_ids), found.muted_until_ms, strict=True))
    assert mutes.keys() == {dave.bytes, eve.bytes}
    assert mutes[dave.bytes] == 0
    assert mutes[eve.bytes] > graph.clock.now_ms()
    assert found.version == (await graph.store.versions([alice]))[alice]
    assert not found.more_blocked_by


async def test_an_account_that_nothing_is_known_of_has_an_empty_snapshot(graph: Graph) -> None:
    alice = graph.account()
    found = await snapshot(graph, alice)
    assert (found.version, found.followee_ids, found.blocked_by_ids) == (0, b"", b"")
    assert await unchanged(graph, alice, found.state)


CHANGES: dict[str, Callable[[Graph, uuid.UUID, uuid.UUID], Awaitable[None]]] = {
    "follow": lambda graph, alice, bob: graph.follow(alice, bob),
    "unfollow": lambda graph, alice, bob: graph.unfollow(alice, bob),
    "block": lambda graph, alice, bob: graph.block(alice, bob),
    "unblock": lambda graph, alice, bob: graph.unblock(alice, bob),
    "mute": lambda graph, alice, bob: graph.mute(alice, bob, 60),
    "mute for longer": lambda graph, alice, bob: graph.mute(alice, bob, 600),
    "unmute": lambda graph, alice, bob: graph.unmute(alice, bob),
    "be blocked": lambda graph, alice, bob: graph.block(bob, alice),
    "be unblocked": lambda graph, alice, bob: graph.unblock(bob, alice),
}


async def test_every_change_makes_another_state_and_nothing_else_does(graph: Graph) -> None:
    alice, bob, carol = graph.account(), graph.account(), graph.account()
    state = (await snapshot(graph, alice)).state
    for change in CHANGES.values():
        assert await unchanged(graph, alice, state)
        await change(graph, alice, bob)
        await graph.follow(bob, carol)
        await graph.mute(bob, alice)
        assert not await unchanged(graph, alice, state)
        wait(graph)
        state = (await snapshot(graph, alice)).state
        assert state


async def test_a_state_has_no_name_while_others_may_be_under_way(graph: Graph) -> None:
    """What is stored in parts, or after a later change, is there when a name is given, or nobody answered it."""
    for change in CHANGES.values():
        alice, bob = graph.account(), graph.account()
        await graph.block(alice, bob)
        await graph.unblock(alice, bob)
        await graph.block(bob, alice)
        await graph.unblock(bob, alice)
        await graph.follow(alice, bob)
        await graph.mute(alice, bob)
        wait(graph)
        assert (await snapshot(graph, alice)).state
        await change(graph, alice, bob)
        graph.clock.us += SETTLED_US - 200_000
        assert not (await snapshot(graph, alice)).state


async def test_a_large_snapshot_is_read_row_by_row_once_and_not_again_until_it_changes(graph: Graph) -> None:
    alice, *others = (graph.account() for _ in range(151))
    for other in others:
        await graph.follow(alice, other)
    bob = others[0]
    await graph.unfollow(alice, bob)
    for change in CHANGES.values():
        wait(graph)
        first = await snapshot(graph, alice)
        counted, asked = counting(graph)
        assert await snapshot_of(alice, counted) == first
        assert asked == ["kept_snapshot"]
        before = await graph.store.ties(alice)
        await change(graph, alice, bob)
        counted, asked = counting(graph)
        await snapshot_of(alice, counted)
        assert "ties" in asked, "it is read again from the moment on at which it changed"
        assert await graph.store.ties(alice) != before


async def test_a_small_snapshot_is_not_kept(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    wait(graph)
    assert (await snapshot(graph, alice)).state
    assert not (await graph.store.kept_snapshot(alice)).snapshot


async def test_a_follow_under_a_block_is_void_whoever_blocks(graph: Graph) -> None:
    for blocker_first in (True, False):
        alice, bob = graph.account(), graph.account()
        await graph.follow(alice, bob)
        pair = (bob, alice) if blocker_first else (alice, bob)
        block = changed_stance(Stance(BLOCK, *pair), True, 0, graph.clock.now_us())
        await graph.store.set_stance(Stance(BLOCK, *pair), block, [])
        assert (await snapshot(graph, alice)).followee_ids == b""


async def test_a_follow_is_void_under_a_block_that_is_not_among_those_told(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of very many who block an account only a part is told."""
    monkeypatch.setattr("svc_graph.stances_memory.READ_BLOCKERS", 1)
    alice, *others = (graph.account() for _ in range(4))
    for other in others:
        await graph.follow(alice, other)
        block = changed_stance(Stance(BLOCK, other, alice), True, 0, graph.clock.now_us())
        await graph.store.set_stance(Stance(BLOCK, other, alice), block, [])
    found = await snapshot(graph, alice)
    assert found.more_blocked_by
    assert len(split_ids(found.blocked_by_ids)) == 1
    assert found.followee_ids == b""


async def test_a_mute_whose_time_is_over_is_not_told(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.mute(alice, bob, 60)
    graph.clock.us += 61_000_000
    assert (await snapshot(graph, alice)).muted_ids == b""


async def test_a_change_that_is_stored_after_a_later_one_makes_another_state(graph: Graph) -> None:
    """Two processes change at the same moment: the later version is stored first, and read before the other is there."""
    alice, bob, carol = graph.account(), graph.account(), graph.account()
    late = await graph.store.versions([alice])
    await graph.mute(alice, carol)
    wait(graph)
    found = await snapshot(graph, alice)
    versions = graph.store.versions

    async def as_of_before(user_ids: list[uuid.UUID]) -> dict[uuid.UUID, int]:
        graph.store.versions = versions  # type: ignore[method-assign]
        return late

    graph.store.versions = as_of_before  # type: ignore[assignment, method-assign]
    graph.clock.us -= SETTLED_US + 2_000_000
    await graph.mute(alice, bob)
    assert not await unchanged(graph, alice, found.state)
    after = await snapshot(graph, alice)
    assert set(split_ids(after.muted_ids)) == {bob.bytes, carol.bytes}
    assert graph.own(alice).graph_version == after.version > found.version


async def test_a_block_that_is_stored_after_a_later_one_makes_another_state_of_who_is_blocked(graph: Graph) -> None:
    alice, bob, carol = graph.account(), graph.account(), graph.account()
    await graph.block(bob, alice)
    wait(graph)
    found = await snapshot(graph, alice)
    graph.clock.us -= 60_000_000
    await graph.block(carol, alice)
    assert not await unchanged(graph, alice, found.state)
    after = await snapshot(graph, alice)
    assert set(split_ids(after.blocked_by_ids)) == {bob.bytes, carol.bytes}


async def test_a_block_that_is_answered_at_the_second_try_makes_another_state_than_one_that_was_named_between(
    graph: Graph,
) -> None:
    """The first try was stored in parts, or long after it was given up: who looked meanwhile may have seen a half."""
    alice, bob = graph.account(), graph.account()
    for again in (graph.block, graph.mute, graph.unmute, graph.unblock):
        await again(alice, bob)
        wait(graph)
        of_alice, of_bob = await snapshot(graph, alice), await snapshot(graph, bob)
        await again(alice, bob)
        assert not await unchanged(graph, alice, of_alice.state)
        if again in (graph.block, graph.unblock):
            assert not await unchanged(graph, bob, of_bob.state)


async def test_an_announcement_that_comes_late_ends_the_states_that_were_named_before(graph: Graph) -> None:
    """Its change may have been stored late, by a process that died before it raised a version."""
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.block(bob, alice)
    facts = [event for event in graph.bus.published if isinstance(event, FollowSet | BlockSet)]
    wait(graph)
    for fact in facts:
        state = (await snapshot(graph, alice)).state
        await (end_void_follow if isinstance(fact, FollowSet) else end_blocked_follows)(fact, graph.deps)
        assert state
        assert not await unchanged(graph, alice, state)
        wait(graph)


async def test_only_services_ask(graph: Graph) -> None:
    alice = graph.account()
    with graph.acting(alice):
        await refusal(graph.direct.GetViewerSnapshot(GetViewerSnapshotRequest(user_id=alice.bytes)))
