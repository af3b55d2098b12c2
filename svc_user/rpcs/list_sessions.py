"""ListSessions: the logins of one's own account."""

import struct
import uuid

from aviary.user.v1.user_pb2 import ListSessionsRequest, ListSessionsResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.logins import latest_used_first, session_view
from svc_user.sessions import live_sessions

_ROUTE = ListSessionsRequest.DESCRIPTOR.full_name
_PLACE = struct.Struct(">q16s")


async def list_sessions(request: ListSessionsRequest, caller: Caller, deps: Deps) -> ListSessionsResponse:
    """The caller's logins, latest used first. Fails with INVALID_CURSOR.

    A login that is used while somebody pages moves to the front, so what is left is never shown twice.
    """
    sessions = await live_sessions(uuid.UUID(bytes=caller.user_id), deps)
    if request.HasField("cursor"):
        last = _PLACE.unpack(deps.cursors.open(request.cursor, _ROUTE, caller.user_id, b""))
        sessions = [session for session in sessions if latest_used_first(session) > last]
    page = sessions[: request.limit]
    more = len(sessions) > len(page)
    answer = ListSessionsResponse(sessions=[session_view(s, caller) for s in page], has_more=more)
    if more:
        place = _PLACE.pack(*latest_used_first(page[-1]))
        answer.next_cursor = deps.cursors.seal(_ROUTE, caller.user_id, b"", place)
    return answer
