"""Unfollow: the caller follows an account no longer."""

import uuid

from aviary.graph.v1.graph_pb2 import UnfollowRequest, UnfollowResponse

from runtime.context import Caller
from svc_graph import edges
from svc_graph.deps import Deps
from svc_graph.domain import pair_of


async def unfollow(request: UnfollowRequest, caller: Caller, deps: Deps) -> UnfollowResponse:
    """Make the caller follow an account no longer; whom nobody knows, nobody follows. Fails with CANNOT_FOLLOW_SELF."""
    pair = pair_of(uuid.UUID(bytes=caller.user_id), uuid.UUID(request.followee_id))
    await edges.unfollow(pair, deps)
    return UnfollowResponse(follower_id=str(pair.follower_id), followee_id=str(pair.followee_id), following=False)
