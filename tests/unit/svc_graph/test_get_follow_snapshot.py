"""GetFollowSnapshot: everybody followed now, and how new that is."""

from aviary.graph.v1.graph_pb2 import GetFollowSnapshotRequest, GetFollowSnapshotResponse

from runtime.ids import split_ids
from svc_graph.domain import Pair
from tests.unit.svc_graph.graph import Graph, refusal


async def test_a_snapshot_holds_whom_the_account_follows_now(graph: Graph) -> None:
    alice, bob, carol = (graph.account() for _ in range(3))
    await graph.follow(alice, bob)
    await graph.follow(alice, carol)
    await graph.follow(bob, alice)
    await graph.unfollow(alice, bob)
    answer = await graph.stub.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=alice.bytes))
    assert split_ids(answer.followee_ids) == [carol.bytes]


async def test_its_version_is_that_of_the_latest_change_recorded_for_own_reads(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(alice, bob)
    await graph.unfollow(alice, bob)
    answer = await graph.stub.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=alice.bytes))
    [edge] = await graph.store.edges([Pair(alice, bob)])
    assert answer.version == edge.version == int.from_bytes(graph.recent.seen[-1][2])


async def test_an_account_that_never_followed_has_version_0(graph: Graph) -> None:
    answer = await graph.stub.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=graph.account().bytes))
    assert answer == GetFollowSnapshotResponse()


async def test_only_services_may_ask(graph: Graph) -> None:
    with graph.acting(graph.account()):
        error = await refusal(graph.direct.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=b"u" * 16)))
    assert error.reason == "NOT_ALLOWED"
