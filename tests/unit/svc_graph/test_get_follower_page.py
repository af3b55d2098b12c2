"""GetFollowerPage: packed followers in ascending order."""

import uuid

import pytest
from aviary.graph.v1.graph_pb2 import FollowerShard, GetFollowerPageRequest, GetFollowerPageResponse

from runtime.ids import split_ids
from tests.unit.svc_graph.graph import Graph, refusal


async def page(
    graph: Graph, who: uuid.UUID, after: bytes = b"", limit: int | None = None, shard: FollowerShard | None = None
) -> GetFollowerPageResponse:
    request = GetFollowerPageRequest(user_id=who.bytes, shard=shard or FollowerShard(), after=after, limit=limit)
    answer: GetFollowerPageResponse = await graph.stub.GetFollowerPage(request)
    return answer


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 10_000])
async def test_any_page_size_gives_every_follower_once_ascending(graph: Graph, limit: int) -> None:
    """P31."""
    alice, *others = (graph.account() for _ in range(8))
    for other in others:
        await graph.follow(other, alice)
    seen: list[bytes] = []
    more = True
    while more:
        answer = await page(graph, alice, seen[-1] if seen else b"", limit)
        found = split_ids(answer.follower_ids)
        assert 0 < len(found) <= limit
        seen += found
        more = answer.has_more
    assert seen == sorted(other.bytes for other in others)


async def test_a_page_is_fresh(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    assert (await page(graph, alice)).follower_ids == b""
    await graph.follow(bob, alice)
    assert (await page(graph, alice)).follower_ids == bob.bytes
    await graph.unfollow(bob, alice)
    assert (await page(graph, alice)).follower_ids == b""


async def test_a_shard_that_does_not_exist_is_empty(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.follow(bob, alice)
    assert await page(graph, alice, shard=FollowerShard(level=1, bucket=0)) == GetFollowerPageResponse()


async def test_a_request_without_shard_or_with_half_an_id_is_refused_naming_the_field(graph: Graph) -> None:
    request = GetFollowerPageRequest(user_id=b"u" * 16)
    assert (await refusal(graph.stub.GetFollowerPage(request))).fields[0].field == "shard"
    assert (await refusal(page(graph, graph.account(), after=b"half"))).fields[0].field == "after"


async def test_only_services_may_ask(graph: Graph) -> None:
    request = GetFollowerPageRequest(user_id=b"u" * 16, shard=FollowerShard())
    with graph.acting(graph.account()):
        assert (await refusal(graph.direct.GetFollowerPage(request))).reason == "NOT_ALLOWED"
