"""Follow: the caller follows an account."""

import uuid

from aviary.graph.v1.graph_pb2 import FollowRequest, FollowResponse

from runtime.context import Caller
from svc_graph import follows
from svc_graph.deps import Deps
from svc_graph.domain import pair_of


async def follow(request: FollowRequest, caller: Caller, deps: Deps) -> FollowResponse:
    """Make the caller follow an account. Fails with CANNOT_FOLLOW_SELF, FOLLOWEE_NOT_FOUND, BLOCKED, FOLLOW_LIMIT_REACHED."""
    pair = pair_of(uuid.UUID(bytes=caller.user_id), uuid.UUID(request.followee_id))
    await deps.accounts.ensure_followable([pair.followee_id])
    await follows.follow(pair, deps)
    return FollowResponse(follower_id=str(pair.follower_id), followee_id=str(pair.followee_id), following=True)
