"""RefreshToken: the next tokens of a login."""

from aviary.user.v1.user_pb2 import RefreshTokenRequest, RefreshTokenResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain import own_view
from svc_user.sessions import continue_session


async def refresh_token(request: RefreshTokenRequest, _: Caller, deps: Deps) -> RefreshTokenResponse:
    """Exchange a refresh token; parallel calls get the same successor. Fails with REFRESH_TOKEN_INVALID."""
    session = await continue_session(deps.tokens.open_refresh(request.refresh_token), deps)
    (user,) = await deps.store.get_users([session.user_id])
    issued = deps.tokens.issue(session)
    return RefreshTokenResponse(
        user=own_view(user, deps.emails.open(user.email, user.user_id)),
        access_token=issued.access_token,
        refresh_token=issued.refresh_token,
        token_type=issued.token_type,
        expires_in=issued.expires_in,
    )
