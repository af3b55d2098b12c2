"""ImportFollows: as many Follows, without what is there already."""

import itertools

import grpc
from aviary.graph.v1.graph_pb2 import GetFollowSnapshotRequest, ImportFollowsRequest

from runtime.ids import split_ids
from tests.unit.svc_graph.graph import Graph, refusal


async def test_an_import_sets_and_announces_each_follow_once(graph: Graph) -> None:
    people = [graph.account() for _ in range(9)]
    pairs = [a.bytes + b.bytes for a, b in itertools.permutations(people, 2)]
    answer = await graph.stub.ImportFollows(ImportFollowsRequest(pairs=pairs))
    events = graph.published()
    assert answer.created == len(pairs) == 72
    assert {event.follower_id + event.followee_id for event in events} == set(pairs)
    assert len(events) == 72
    assert all(event.following for event in events)
    assert {event.follower_id + event.followee_id for event in graph.mirrored()} == set(pairs)


async def test_importing_again_or_twice_in_one_call_changes_and_announces_nothing_more(graph: Graph) -> None:
    alice, bob, carol = (graph.account() for _ in range(3))
    await graph.follow(alice, bob)
    pairs = [alice.bytes + bob.bytes, alice.bytes + carol.bytes, alice.bytes + carol.bytes]
    assert (await graph.stub.ImportFollows(ImportFollowsRequest(pairs=pairs))).created == 1
    assert (await graph.stub.ImportFollows(ImportFollowsRequest(pairs=pairs))).created == 0
    assert len(graph.published()) == 2


async def test_each_followers_newest_version_is_recorded_and_its_snapshot_has_it(graph: Graph) -> None:
    people = [graph.account() for _ in range(40)]
    pairs = [people[0].bytes + other.bytes for other in people[1:]]
    await graph.stub.ImportFollows(ImportFollowsRequest(pairs=pairs))
    snapshot = await graph.stub.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=people[0].bytes))
    assert set(split_ids(snapshot.followee_ids)) == {other.bytes for other in people[1:]}
    assert graph.recent.seen == [(people[0].bytes, b"g", snapshot.version.to_bytes(8))]


async def test_an_import_with_an_unknown_followee_or_a_self_follow_sets_none(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    good = alice.bytes + bob.bytes
    unknown = await refusal(graph.stub.ImportFollows(ImportFollowsRequest(pairs=[good, alice.bytes + b"x" * 16])))
    oneself = await refusal(graph.stub.ImportFollows(ImportFollowsRequest(pairs=[good, alice.bytes * 2])))
    assert (unknown.status, unknown.reason) == (grpc.StatusCode.NOT_FOUND, "FOLLOWEE_NOT_FOUND")
    assert (oneself.status, oneself.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CANNOT_FOLLOW_SELF")
    assert graph.published() == []


async def test_accounts_are_asked_for_400_at_a_time(graph: Graph) -> None:
    alice, *others = (graph.account() for _ in range(501))
    await graph.stub.ImportFollows(ImportFollowsRequest(pairs=[alice.bytes + other.bytes for other in others]))
    assert graph.users.calls == 2


async def test_an_empty_import_is_none_and_more_than_500_are_refused(graph: Graph) -> None:
    assert (await graph.stub.ImportFollows(ImportFollowsRequest())).created == 0
    error = await refusal(graph.stub.ImportFollows(ImportFollowsRequest(pairs=[b"p" * 32] * 501)))
    assert error.fields[0].field == "pairs"


async def test_only_services_may_import(graph: Graph) -> None:
    with graph.acting(graph.account()):
        error = await refusal(graph.direct.ImportFollows(ImportFollowsRequest(pairs=[b"p" * 32])))
    assert error.reason == "NOT_ALLOWED"
