"""Logout: the end of a login of one's own."""

from aviary.user.v1.user_pb2 import LogoutRequest, LogoutResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.logins import ensure_may_end
from svc_user.sessions import session_meant


async def logout(request: LogoutRequest, caller: Caller, deps: Deps) -> LogoutResponse:
    """End the login of `refresh_token`, else of the access token; once more changes nothing. Fails with INVALID_REQUEST.

    Access tokens of the login stay valid until they expire: whoever verifies one asks nobody.
    """
    session = await deps.store.get_session(session_meant(request, caller, deps))
    if session is not None:
        ensure_may_end(session, caller)
        await deps.store.end_session(session.session_id)
    return LogoutResponse()
