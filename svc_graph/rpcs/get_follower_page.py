"""GetFollowerPage: followers of an account for fan-out, as of the call or of an earlier one of the same walk."""

import uuid

from aviary.graph.v1.graph_pb2 import GetFollowerPageRequest, GetFollowerPageResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.domain import Shard


async def get_follower_page(request: GetFollowerPageRequest, _: Caller, deps: Deps) -> GetFollowerPageResponse:
    """One page of one partition of followers, packed, ascending: who followed before the call is in it, kept page or not, or before
    the one that named the state which the caller asks for.

    Who of them is away is told as far as it is known already; nothing is read for it.
    """
    shard = Shard(request.shard.level, request.shard.bucket)
    after = uuid.UUID(bytes=request.after) if request.after else None
    page = await deps.store.packed_page(uuid.UUID(bytes=request.user_id), shard, after, request.limit, request.as_of)
    active = deps.readers.activity.of((request.user_id, shard, request.after, request.limit), page)
    return GetFollowerPageResponse(
        follower_ids=page.follower_ids, has_more=page.has_more, active=active, as_of=page.as_of
    )
