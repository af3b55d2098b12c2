"""Unfollow: the inverse of follow, and nothing for whom nobody follows."""

import uuid

import grpc
from aviary.graph.v1.graph_pb2 import UnfollowRequest, UnfollowResponse

from readers.recent import OwnFollow
from svc_graph.domain import WHOLE, Edge, Pair
from tests.unit.svc_graph.graph import Graph, refusal


async def test_an_unfollow_is_answered_stored_and_announced_with_a_later_version(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    with graph.acting(alice):
        answer = await graph.stub.Unfollow(UnfollowRequest(followee_id=str(bob)))
    assert answer == UnfollowResponse(follower_id=str(alice), followee_id=str(bob), following=False)
    [edge] = await graph.store.edges([Pair(alice, bob)])
    followed, unfollowed = graph.published()
    assert not edge.following
    assert (followed.following, unfollowed.following) == (True, False)
    assert edge.version == unfollowed.version > followed.version
    assert followed.event_id != unfollowed.event_id
    assert await graph.store.follower_page(bob, WHOLE, None, 10) == []


async def test_unfollowing_whom_one_does_not_follow_changes_and_announces_nothing(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.unfollow(alice, bob)
    assert await graph.store.edges([Pair(alice, bob)]) == [Edge(Pair(alice, bob))]
    assert graph.published() == []


async def test_unfollowing_an_unknown_account_is_no_failure(graph: Graph) -> None:
    await graph.unfollow(graph.account(), uuid.uuid4())
    assert graph.users.calls == 0


async def test_unfollowing_oneself_is_refused(graph: Graph) -> None:
    alice = graph.account()
    with graph.acting(alice):
        error = await refusal(graph.stub.Unfollow(UnfollowRequest(followee_id=str(alice))))
    assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CANNOT_FOLLOW_SELF")


async def test_following_and_unfollowing_ten_times_announces_each_change_once(graph: Graph) -> None:
    """P14."""
    alice, bob = graph.account(), graph.account()
    for _ in range(10):
        await graph.follow(alice, bob)
        await graph.unfollow(alice, bob)
    events = graph.published()
    assert [event.following for event in events] == [True, False] * 10
    assert len({event.event_id for event in events}) == 20


async def test_the_unfollow_is_recorded_for_the_followers_own_reads(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.unfollow(alice, bob)
    [edge] = await graph.store.edges([Pair(alice, bob)])
    own = graph.own(alice)
    assert own.graph_version == edge.version
    assert [(follow.followee_id, follow.delta) for follow in own.follows] == [(bob.bytes, -1), (bob.bytes, 1)]
    assert own.follows[0] == OwnFollow(bob.bytes, -1, 3, 4, edge.version)


async def test_anonymous_callers_and_tokens_without_the_scope_are_refused(graph: Graph) -> None:
    request = UnfollowRequest(followee_id=str(graph.account()))
    with graph.acting(None):
        assert (await refusal(graph.stub.Unfollow(request))).reason == "TOKEN_MISSING"
    with graph.acting(graph.account(), scopes=("read",)):
        assert (await refusal(graph.stub.Unfollow(request))).reason == "INSUFFICIENT_SCOPE"
