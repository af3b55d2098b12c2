"""GetFollowerShards: the partitions that hold the followers of an account."""

import uuid

from aviary.graph.v1.graph_pb2 import FollowerShard, GetFollowerShardsRequest, GetFollowerShardsResponse

from runtime.context import Caller
from svc_graph.deps import Deps


async def get_follower_shards(request: GetFollowerShardsRequest, _: Caller, deps: Deps) -> GetFollowerShardsResponse:
    """The partitions of the account's followers; whoever followed before the call is in one of them, or in two."""
    shards = await deps.store.follower_shards(uuid.UUID(bytes=request.user_id))
    return GetFollowerShardsResponse(shards=[FollowerShard(level=one.level, bucket=one.bucket) for one in shards])
