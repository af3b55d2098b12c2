"""GetFollowerPage: followers of an account for fan-out, fresh."""

import uuid

from aviary.graph.v1.graph_pb2 import GetFollowerPageRequest, GetFollowerPageResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.domain import Shard


async def get_follower_page(request: GetFollowerPageRequest, _: Caller, deps: Deps) -> GetFollowerPageResponse:
    """One page of one partition of followers, packed, ascending. Read fresh: who followed before the call is in it."""
    shard = Shard(request.shard.level, request.shard.bucket)
    after = uuid.UUID(bytes=request.after) if request.after else None
    found = await deps.store.follower_page(uuid.UUID(bytes=request.user_id), shard, after, request.limit + 1)
    packed = b"".join(follower_id.bytes for follower_id in found[: request.limit])
    return GetFollowerPageResponse(follower_ids=packed, has_more=len(found) > request.limit)
