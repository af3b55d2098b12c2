"""Follow: check, set once, announce once, show to the follower."""

import asyncio
import uuid

import grpc
import pytest
from aviary.graph.v1.graph_pb2 import FollowRequest, FollowResponse

from readers.recent import GRAPH_VERSION, KEPT_S, OwnFollow
from svc_graph.domain import Pair
from tests.unit.svc_graph.graph import Graph, refusal


async def test_a_follow_is_answered_stored_and_announced(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    with graph.acting(alice):
        answer = await graph.stub.Follow(FollowRequest(followee_id=str(bob)))
    assert answer == FollowResponse(follower_id=str(alice), followee_id=str(bob), following=True)
    [edge] = await graph.store.edges([Pair(alice, bob)])
    [event] = graph.published()
    assert edge.following
    assert (event.follower_id, event.followee_id, event.following) == (alice.bytes, bob.bytes, True)
    assert (event.version, event.occurred_at.ToMicroseconds()) == (edge.version, edge.version)
    [mirror] = graph.mirrored()
    assert (mirror.follower_id, mirror.followee_id, mirror.following) == (alice.bytes, bob.bytes, True)
    assert (mirror.version, mirror.occurred_at) == (event.version, event.occurred_at)
    assert mirror.event_id != event.event_id


async def test_the_follower_may_name_oneself_and_nobody_else(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    with graph.acting(alice):
        await graph.stub.Follow(FollowRequest(followee_id=str(bob), follower_id=str(alice)))
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(alice), follower_id=str(bob))))
    assert (error.status, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_USER_ID")


async def test_following_again_changes_and_announces_nothing(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    before = await graph.store.edges([Pair(alice, bob)])
    await graph.follow(alice, bob)
    assert await graph.store.edges([Pair(alice, bob)]) == before
    assert len(graph.published()) == 1


async def test_a_hundred_parallel_follows_are_one_change(graph: Graph) -> None:
    """P51: within one process the turns of the follower see to it."""
    alice, bob = graph.account(), graph.account()
    await asyncio.gather(*(graph.follow(alice, bob) for _ in range(100)))
    assert len(graph.published()) == 1


async def test_nobody_follows_oneself(graph: Graph) -> None:
    """P51."""
    alice = graph.account()
    with graph.acting(alice):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(alice))))
    assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CANNOT_FOLLOW_SELF")
    assert graph.published() == []


async def test_an_unknown_account_cannot_be_followed(graph: Graph) -> None:
    stranger = uuid.uuid4()
    with graph.acting(graph.account()):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(stranger))))
    assert (error.status, error.reason) == (grpc.StatusCode.NOT_FOUND, "FOLLOWEE_NOT_FOUND")
    assert error.metadata == {} or str(stranger) in error.metadata.values()
    assert graph.published() == []


async def test_an_account_is_asked_for_once_and_remembered(graph: Graph) -> None:
    alice, carol, bob = graph.account(), graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.follow(carol, bob)
    assert graph.users.calls == 1


async def test_an_account_that_was_unknown_is_asked_for_again(graph: Graph) -> None:
    alice, late = graph.account(), graph.ids.next()
    with graph.acting(alice):
        await refusal(graph.stub.Follow(FollowRequest(followee_id=str(late))))
    graph.users.known.add(late.bytes)
    await graph.follow(alice, late)
    assert graph.users.calls == 2


async def test_while_accounts_cannot_be_asked_only_known_ones_can_be_followed(graph: Graph) -> None:
    alice, carol, known, new = (graph.account() for _ in range(4))
    await graph.follow(carol, known)
    graph.users.down = True
    await graph.follow(alice, known)
    with graph.acting(alice):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=str(new))))
    assert error.status is grpc.StatusCode.UNAVAILABLE


async def test_the_change_is_recorded_for_the_followers_own_reads(graph: Graph) -> None:
    """P13, for follows: the version that the next home must be at least as new as, and what the own counts miss until then."""
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    [edge] = await graph.store.edges([Pair(alice, bob)])
    own = graph.own(alice)
    assert own.graph_version == edge.version
    assert own.follows == [OwnFollow(bob.bytes, 1, *places_of(graph), edge.version)]


async def test_a_retry_of_a_follow_that_was_stored_but_not_answered_is_recorded_too(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    recorded, own = graph.recent.seen.copy(), graph.own(alice)
    graph.recent.seen.clear()
    await graph.follow(alice, bob)
    assert graph.recent.seen == recorded
    graph.recent.seen += recorded
    assert graph.own(alice) == own


async def test_a_retry_of_a_follow_that_was_stored_and_not_published_publishes_it(graph: Graph) -> None:
    """P13: the relay would take its time, and who was answered must see the own count."""
    alice, bob = graph.account(), graph.account()
    graph.bus.down = True
    await graph.follow(alice, bob)
    [edge] = await graph.store.edges([Pair(alice, bob)])
    assert graph.own(alice).follows == [OwnFollow(bob.bytes, 1, 0, 0, edge.version)]
    graph.bus.down = False
    await graph.follow(alice, bob)
    assert graph.own(alice).follows == [OwnFollow(bob.bytes, 1, *places_of(graph), edge.version)]


async def test_what_was_followed_long_ago_is_neither_published_nor_counted_again(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    graph.clock.us += KEPT_S * 1_000_000
    graph.recent.seen.clear()
    graph.bus.down = True
    await graph.follow(alice, bob)
    assert [kind for _, kind, _ in graph.recent.seen] == [GRAPH_VERSION]


async def test_a_clock_that_went_back_still_gives_a_later_version(graph: Graph) -> None:
    """P29: of the pair, and of everything the follower changed."""
    alice, bob, carol = (graph.account() for _ in range(3))
    await graph.follow(alice, bob)
    graph.clock.us -= 60_000_000
    await graph.unfollow(alice, bob)
    await graph.follow(alice, carol)
    versions = [event.version for event in graph.published()]
    assert versions == sorted(set(versions))
    [edge] = await graph.store.edges([Pair(alice, bob)])
    assert not edge.following


def places_of(graph: Graph) -> tuple[int, int]:
    """Where the latest change stands in the log, in the follower's and in the followee's partition."""
    return len(graph.published()) * 2 - 1, len(graph.published()) * 2


@pytest.mark.parametrize("bad", ["", "bob", "00000000-0000-7000-8000-00000000000g"])
async def test_an_id_that_is_none_is_refused_naming_the_field(graph: Graph, bad: str) -> None:
    with graph.acting(graph.account()):
        error = await refusal(graph.stub.Follow(FollowRequest(followee_id=bad)))
    assert error.status is grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields[0].field == "followee_id"


async def test_anonymous_callers_and_tokens_without_the_scope_are_refused(graph: Graph) -> None:
    request = FollowRequest(followee_id=str(graph.account()))
    with graph.acting(None):
        assert (await refusal(graph.stub.Follow(request))).reason == "TOKEN_MISSING"
    with graph.acting(graph.account(), scopes=("read",)):
        assert (await refusal(graph.stub.Follow(request))).reason == "INSUFFICIENT_SCOPE"
