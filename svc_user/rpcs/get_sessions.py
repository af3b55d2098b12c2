"""GetSessions: what stands behind logins, for whoever lets their access tokens in."""

import uuid

from aviary.user.v1.user_pb2 import GetSessionsRequest, GetSessionsResponse, SessionState

from runtime.context import Caller
from svc_user.deps import Deps


async def get_sessions(request: GetSessionsRequest, _: Caller, deps: Deps) -> GetSessionsResponse:
    """The logins among the ids that have not ended, each with status and role of its account. Sees every end that was answered."""
    sessions = await deps.logins.get_sessions({uuid.UUID(bytes=session_id) for session_id in request.session_ids})
    # After the logins: whoever began under the password of before is seen to have ended.
    standings = await deps.logins.standings({session.user_id for session in sessions})
    return GetSessionsResponse(
        sessions=[
            SessionState(
                session_id=session.session_id.bytes,
                user_id=session.user_id.bytes,
                status=standing.status,
                role=standing.role,
            )
            for session in sessions
            if (standing := standings.get(session.user_id)) and standing.keeps(session)
        ]
    )
