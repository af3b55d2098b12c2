"""Logout: the end of a login of one's own."""

from aviary.user.v1.user_pb2 import LogoutRequest, LogoutResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.logins import no_own_login
from svc_user.sessions import end_own, session_meant


async def logout(request: LogoutRequest, caller: Caller, deps: Deps) -> LogoutResponse:
    """End the login of `refresh_token`, else of the access token; once more changes nothing. Fails with INVALID_REQUEST."""
    session_id = session_meant(request, caller, deps)
    if not await end_own(session_id, caller, deps) and await deps.logins.get_session(session_id) is not None:
        raise no_own_login()
    return LogoutResponse()
