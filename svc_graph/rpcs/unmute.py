"""Unmute: the caller mutes an account no longer."""

import uuid

from aviary.graph.v1.graph_pb2 import UnmuteRequest, UnmuteResponse

from runtime.context import Caller
from svc_graph import standing
from svc_graph.deps import Deps
from svc_graph.stances import MUTE, ensure_other


async def unmute(request: UnmuteRequest, caller: Caller, deps: Deps) -> UnmuteResponse:
    """Mute an account no longer; whom nobody knows, nobody mutes. Fails with CANNOT_MUTE_SELF."""
    user_id, other_id = uuid.UUID(bytes=caller.user_id), uuid.UUID(request.user_id)
    ensure_other(MUTE, user_id, other_id)
    await standing.unmute(user_id, other_id, deps)
    return UnmuteResponse(user_id=str(other_id), muting=False)
