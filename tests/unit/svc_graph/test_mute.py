"""Mute: for ever or for a time, told to every cache and to nobody else."""

import uuid

import grpc
from aviary.graph.v1.graph_pb2 import MuteRequest, MuteResponse

from svc_graph.stances import MUTE, Stance
from svc_graph.telling import stance_change
from tests.unit.svc_graph.graph import Graph, refusal


async def test_a_mute_for_ever_is_answered_stored_and_told(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    with graph.acting(alice):
        answer = await graph.stub.Mute(MuteRequest(user_id=str(bob)))
    assert answer == MuteResponse(user_id=str(bob), muting=True)
    [stance] = await graph.store.stances(MUTE, alice, [bob])
    assert (stance.stands, stance.until_ms) == (True, 0)
    assert graph.told() == [stance_change(stance)]
    assert graph.own(alice).graph_version == stance.version


async def test_a_mute_for_a_time_says_when_it_ends(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    with graph.acting(alice):
        answer = await graph.stub.Mute(MuteRequest(user_id=str(bob), duration_s=60))
    [stance] = await graph.store.stances(MUTE, alice, [bob])
    assert stance.until_ms == answer.muted_until.ToMilliseconds()
    assert 0 <= graph.clock.now_ms() + 60_000 - stance.until_ms < 1000
    assert graph.told()[0].until_ms == stance.until_ms


async def test_muting_again_sets_the_time_anew(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.mute(alice, bob, 60)
    [first] = await graph.store.stances(MUTE, alice, [bob])
    await graph.mute(alice, bob, 3600)
    [second] = await graph.store.stances(MUTE, alice, [bob])
    assert second.until_ms - first.until_ms > 3_000_000
    await graph.mute(alice, bob)
    [third] = await graph.store.stances(MUTE, alice, [bob])
    assert third.until_ms == 0
    assert first.version < second.version < third.version


async def test_a_mute_is_announced_to_nobody_and_ends_no_follow(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.follow(bob, alice)
    seen = len(graph.bus.published)
    await graph.mute(alice, bob)
    assert len(graph.bus.published) == seen
    assert [
        snapshot.followee_ids for snapshot in (await graph.store.snapshot(alice), await graph.store.snapshot(bob))
    ] == [
        [bob],
        [alice],
    ]


async def test_nobody_mutes_oneself_or_whom_there_is_not(graph: Graph) -> None:
    alice = graph.account()
    with graph.acting(alice):
        error = await refusal(graph.stub.Mute(MuteRequest(user_id=str(alice))))
        assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CANNOT_MUTE_SELF")
        error = await refusal(graph.stub.Mute(MuteRequest(user_id=str(uuid.uuid4()))))
        assert (error.status, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")


async def test_a_time_that_is_none_is_refused(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    for seconds in (0, 31_536_001):
        with graph.acting(alice):
            error = await refusal(graph.stub.Mute(MuteRequest(user_id=str(bob), duration_s=seconds)))
        assert error.status is grpc.StatusCode.INVALID_ARGUMENT
    assert await graph.store.stances(MUTE, alice, [bob]) == [Stance(MUTE, alice, bob)]
