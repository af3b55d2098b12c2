"""GetFollowerShards: one partition, level 0."""

from aviary.graph.v1.graph_pb2 import FollowerShard, GetFollowerShardsRequest

from tests.unit.svc_graph.graph import Graph, refusal


async def test_the_followers_of_every_account_lie_in_one_shard_of_level_0(graph: Graph) -> None:
    answer = await graph.stub.GetFollowerShards(GetFollowerShardsRequest(user_id=graph.account().bytes))
    assert list(answer.shards) == [FollowerShard(level=0, bucket=0)]


async def test_only_services_may_ask(graph: Graph) -> None:
    with graph.acting(graph.account()):
        error = await refusal(graph.direct.GetFollowerShards(GetFollowerShardsRequest(user_id=b"u" * 16)))
    assert error.reason == "NOT_ALLOWED"
