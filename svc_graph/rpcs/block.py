"""Block: the caller blocks an account."""

import uuid

from aviary.graph.v1.graph_pb2 import BlockRequest, BlockResponse

from runtime.context import Caller
from svc_graph import standing
from svc_graph.deps import Deps
from svc_graph.stances import BLOCK, ensure_other


async def block(request: BlockRequest, caller: Caller, deps: Deps) -> BlockResponse:
    """Block an account; follows between the two end, both ways. Fails with ACCOUNT_NOT_FOUND, CANNOT_BLOCK_SELF, BLOCK_LIMIT_REACHED."""
    user_id, other_id = uuid.UUID(bytes=caller.user_id), uuid.UUID(request.user_id)
    ensure_other(BLOCK, user_id, other_id)
    await deps.accounts.ensure_exists(other_id)
    await standing.block(user_id, other_id, deps)
    return BlockResponse(user_id=str(other_id), blocking=True)
