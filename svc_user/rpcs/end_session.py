"""EndSession: the end of one of the caller's logins."""

import uuid

from aviary.user.v1.user_pb2 import EndSessionRequest, EndSessionResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.errors import SessionNotFound
from svc_user.sessions import end_own


async def end_session(request: EndSessionRequest, caller: Caller, deps: Deps) -> EndSessionResponse:
    """End a login of the caller's, as Logout does. Fails with SESSION_NOT_FOUND, also for somebody else's."""
    session_id = uuid.UUID(request.session_id)
    if not await end_own(session_id, caller, deps):
        raise SessionNotFound("you have no such login", session_id=session_id)
    return EndSessionResponse()
