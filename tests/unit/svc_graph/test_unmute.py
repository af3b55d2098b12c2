"""Unmute: a mute stands no longer."""

import uuid

import grpc
from aviary.graph.v1.graph_pb2 import UnmuteRequest, UnmuteResponse

from svc_graph.stances import MUTE
from svc_graph.telling import stance_change
from tests.unit.svc_graph.graph import Graph, refusal


async def test_an_unmute_is_answered_stored_and_told(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.mute(alice, bob, 60)
    with graph.acting(alice):
        answer = await graph.stub.Unmute(UnmuteRequest(user_id=str(bob)))
    assert answer == UnmuteResponse(user_id=str(bob), muting=False)
    [stance] = await graph.store.stances(MUTE, alice, [bob])
    assert (stance.stands, stance.until_ms) == (False, 0)
    assert graph.told()[-1] == stance_change(stance)
    assert graph.own(alice).graph_version == stance.version


async def test_unmuting_whom_one_never_muted_changes_nothing(graph: Graph) -> None:
    alice = graph.account()
    await graph.unmute(alice, uuid.uuid4())
    assert graph.told() == []


async def test_nobody_unmutes_oneself(graph: Graph) -> None:
    alice = graph.account()
    with graph.acting(alice):
        error = await refusal(graph.stub.Unmute(UnmuteRequest(user_id=str(alice))))
    assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CANNOT_MUTE_SELF")
