"""Unblock: the caller blocks an account no longer."""

import uuid

from aviary.graph.v1.graph_pb2 import UnblockRequest, UnblockResponse

from runtime.context import Caller
from svc_graph import standing
from svc_graph.deps import Deps
from svc_graph.stances import BLOCK, ensure_other


async def unblock(request: UnblockRequest, caller: Caller, deps: Deps) -> UnblockResponse:
    """Block an account no longer; whom nobody knows, nobody blocks. Fails with CANNOT_BLOCK_SELF."""
    user_id, other_id = uuid.UUID(bytes=caller.user_id), uuid.UUID(request.user_id)
    ensure_other(BLOCK, user_id, other_id)
    await standing.unblock(user_id, other_id, deps)
    return UnblockResponse(user_id=str(other_id), blocking=False)
