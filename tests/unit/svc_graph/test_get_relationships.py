"""GetRelationships: both directions, one entry for each of the others."""

from aviary.graph.v1.graph_pb2 import GetRelationshipsRequest

from runtime.context import Caller, acting
from svc_graph.stances import BLOCK, Stance, changed_stance
from tests.unit.svc_graph.graph import Graph, refusal


async def test_every_way_in_which_two_can_stand_to_each_other_is_told(graph: Graph) -> None:
    alice, followed, follower, mutual, stranger = (graph.account() for _ in range(5))
    await graph.follow(alice, followed)
    await graph.follow(follower, alice)
    await graph.follow(alice, mutual)
    await graph.follow(mutual, alice)
    others = [followed, follower, mutual, stranger, alice]
    request = GetRelationshipsRequest(user_id=alice.bytes, other_ids=[other.bytes for other in others])
    answer = await graph.stub.GetRelationships(request)
    assert {entry.user_id: (entry.following, entry.followed_by) for entry in answer.entries} == {
        followed.bytes: (True, False),
        follower.bytes: (False, True),
        mutual.bytes: (True, True),
        stranger.bytes: (False, False),
        alice.bytes: (False, False),
    }


async def test_an_ended_follow_is_no_relationship(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.unfollow(alice, bob)
    for viewer, other in ((alice, bob), (bob, alice)):
        request = GetRelationshipsRequest(user_id=viewer.bytes, other_ids=[other.bytes])
        [entry] = (await graph.stub.GetRelationships(request)).entries
        assert (entry.following, entry.followed_by) == (False, False)


async def test_nobody_asked_about_is_an_empty_answer_and_more_than_100_are_refused(graph: Graph) -> None:
    alice = graph.account()
    assert not (await graph.stub.GetRelationships(GetRelationshipsRequest(user_id=alice.bytes))).entries
    many = GetRelationshipsRequest(user_id=alice.bytes, other_ids=[graph.ids.next().bytes for _ in range(101)])
    assert (await refusal(graph.stub.GetRelationships(many))).fields[0].field == "other_ids"


async def test_only_services_may_ask(graph: Graph) -> None:
    with graph.acting(graph.account()):
        error = await refusal(graph.direct.GetRelationships(GetRelationshipsRequest(user_id=b"u" * 16)))
    assert error.reason == "NOT_ALLOWED"


async def test_a_follow_under_a_block_is_void_both_ways_whoever_blocks(graph: Graph) -> None:
    """P46: from the moment on at which the block is stored, before anybody ended the follows."""
    for first in (True, False):
        alice, bob = graph.account(), graph.account()
        await graph.follow(alice, bob)
        await graph.follow(bob, alice)
        pair = (alice, bob) if first else (bob, alice)
        before = Stance(BLOCK, *pair)
        await graph.store.set_stance(before, changed_stance(before, True, 0, graph.clock.now_us()), [])
        for blocks_only in (False, True):
            request = GetRelationshipsRequest(user_id=alice.bytes, other_ids=[bob.bytes], blocks_only=blocks_only)
            with acting(Caller(service="edge")):
                [entry] = (await graph.stub.GetRelationships(request)).entries
            assert (entry.blocking, entry.blocked_by) == (first, not first)
            assert not entry.following and not entry.followed_by
