"""CompareSnapshots: which states are still so, of many viewers at once; what makes another state is in test_get_viewer_snapshot.py."""

import grpc
import pytest
from aviary.graph.v1.graph_pb2 import CompareSnapshotsRequest, KnownSnapshot

from runtime.context import Caller, acting
from svc_graph.rpcs.compare_snapshots import compare_snapshots
from svc_graph.stances import STATE_LIFETIME_MS
from tests.unit.svc_graph.graph import Graph, refusal
from tests.unit.svc_graph.states import counting, snapshot, unchanged, wait


async def test_many_snapshots_are_compared_with_two_questions_to_the_store(graph: Graph) -> None:
    viewers = [graph.account() for _ in range(100)]
    known = [KnownSnapshot(user_id=one.bytes, state=(await snapshot(graph, one)).state) for one in viewers]
    changed = viewers[7]
    await graph.mute(changed, viewers[0])
    counted, asked = counting(graph)
    answer = await compare_snapshots(CompareSnapshotsRequest(known=known), Caller(), counted)
    assert [one.user_id for one in answer.unchanged] == [one.bytes for one in viewers if one != changed]
    assert asked == ["viewer_versions"]


async def test_of_several_states_of_one_viewer_the_one_of_now_is_told(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    states = []
    for change in (graph.mute, graph.unmute):
        await change(alice, bob)
        wait(graph)
        states.append((await snapshot(graph, alice)).state)
    assert [await unchanged(graph, alice, state) for state in states] == [False, True]
    known = [KnownSnapshot(user_id=alice.bytes, state=state) for state in states]
    with acting(Caller(service="edge")):
        answer = await graph.stub.CompareSnapshots(CompareSnapshotsRequest(known=known))
    assert list(answer.unchanged) == known[1:]


async def test_the_state_of_another_viewer_is_not_current(graph: Graph) -> None:
    alice, bob, carol = graph.account(), graph.account(), graph.account()
    await graph.mute(alice, bob)
    wait(graph)
    assert not await unchanged(graph, carol, (await snapshot(graph, alice)).state)


async def test_a_state_that_was_named_long_ago_is_not_current(graph: Graph) -> None:
    alice = graph.account()
    state = (await snapshot(graph, alice)).state
    graph.clock.us += STATE_LIFETIME_MS * 1000
    assert not await unchanged(graph, alice, state)


@pytest.mark.parametrize("known", [b"x", b"\x01" * 25, b"\x00" * 64])
async def test_a_state_that_nobody_named_is_not_current(graph: Graph, known: bytes) -> None:
    assert not await unchanged(graph, graph.account(), known)


async def test_only_services_ask_and_about_a_hundred_at_most(graph: Graph) -> None:
    alice = graph.account()
    known = [KnownSnapshot(user_id=alice.bytes)]
    with graph.acting(alice):
        await refusal(graph.direct.CompareSnapshots(CompareSnapshotsRequest(known=known)))
    for wrong in ([], known * 101, [KnownSnapshot(user_id=b"x")]):
        with acting(Caller(service="edge")):
            error = await refusal(graph.stub.CompareSnapshots(CompareSnapshotsRequest(known=wrong)))
        assert error.status is grpc.StatusCode.INVALID_ARGUMENT
