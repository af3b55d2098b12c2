"""Unblock: a block stands no longer."""

import uuid

import grpc
from aviary.graph.v1.events_pb2 import BlockSet
from aviary.graph.v1.graph_pb2 import UnblockRequest, UnblockResponse

from svc_graph.stances import BLOCK
from svc_graph.telling import stance_change
from tests.unit.svc_graph.graph import Graph, refusal


async def test_an_unblock_is_answered_stored_announced_and_told(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.block(alice, bob)
    with graph.acting(alice):
        answer = await graph.stub.Unblock(UnblockRequest(user_id=str(bob)))
    assert answer == UnblockResponse(user_id=str(bob), blocking=False)
    [stance] = await graph.store.stances(BLOCK, alice, [bob])
    assert not stance.stands
    events = [event for event in graph.bus.published if isinstance(event, BlockSet)]
    assert [(event.blocking, event.version) for event in events][-1] == (False, stance.version)
    assert events[0].version < stance.version
    assert graph.told()[-1] == stance_change(stance)
    assert graph.own(alice).graph_version == stance.version


async def test_unblocking_whom_one_never_blocked_changes_and_announces_nothing(graph: Graph) -> None:
    alice = graph.account()
    await graph.unblock(alice, uuid.uuid4())
    assert graph.bus.published == graph.told() == []


async def test_nobody_unblocks_oneself(graph: Graph) -> None:
    alice = graph.account()
    with graph.acting(alice):
        error = await refusal(graph.stub.Unblock(UnblockRequest(user_id=str(alice))))
    assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CANNOT_BLOCK_SELF")
