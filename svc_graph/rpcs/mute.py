"""Mute: the caller mutes an account, for ever or for a time."""

import uuid

from aviary.graph.v1.graph_pb2 import MuteRequest, MuteResponse

from runtime.context import Caller
from svc_graph import standing
from svc_graph.deps import Deps
from svc_graph.stances import MUTE, ensure_other


async def mute(request: MuteRequest, caller: Caller, deps: Deps) -> MuteResponse:
    """Mute an account. Fails with ACCOUNT_NOT_FOUND, CANNOT_MUTE_SELF, MUTE_LIMIT_REACHED."""
    user_id, other_id = uuid.UUID(bytes=caller.user_id), uuid.UUID(request.user_id)
    ensure_other(MUTE, user_id, other_id)
    await deps.accounts.ensure_exists(other_id)
    until_ms = deps.clock.now_ms() + request.duration_s * 1000 if request.HasField("duration_s") else 0
    await standing.mute(user_id, other_id, until_ms, deps)
    answer = MuteResponse(user_id=str(other_id), muting=True)
    if until_ms:
        answer.muted_until.FromMilliseconds(until_ms)
    return answer
