"""RefreshToken: the next tokens of a login."""

from aviary.user.v1.user_pb2 import RefreshTokenRequest, RefreshTokenResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.sessions import continue_session, signed_in


async def refresh_token(request: RefreshTokenRequest, _: Caller, deps: Deps) -> RefreshTokenResponse:
    """Exchange a refresh token; parallel calls get the same successor. Fails with REFRESH_TOKEN_INVALID."""
    session = await continue_session(deps.tokens.open_refresh(request.refresh_token), deps)
    (user,) = await deps.store.get_users([session.user_id])
    return signed_in(RefreshTokenResponse, user, deps.tokens.issue(session), deps)
