"""GetFollowerShards: the partitions that hold the followers of an account."""

from aviary.graph.v1.graph_pb2 import FollowerShard, GetFollowerShardsRequest, GetFollowerShardsResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.domain import WHOLE


async def get_follower_shards(_: GetFollowerShardsRequest, __: Caller, ___: Deps) -> GetFollowerShardsResponse:
    """The partitions of the account's followers. Every account lies in the one partition of level 0."""
    return GetFollowerShardsResponse(shards=[FollowerShard(level=WHOLE.level, bucket=WHOLE.bucket)])
