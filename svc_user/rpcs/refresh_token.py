"""RefreshToken: the next tokens of a login."""

from aviary.user.v1.user_pb2 import RefreshTokenRequest, RefreshTokenResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.sessions import continue_session, signed_in


async def refresh_token(request: RefreshTokenRequest, _: Caller, deps: Deps) -> RefreshTokenResponse:
    """Exchange a refresh token of a login of one's own; parallel calls get the same successor.

    Fails with REFRESH_TOKEN_INVALID, ACCOUNT_SUSPENDED, and TOO_MANY_LOGINS when one login is refreshed more than 30 times a minute.
    """
    presented = deps.tokens.open_refresh(request.refresh_token)
    session = await continue_session(presented, deps, client=request.client, address=request.client_address)
    (user,) = await deps.store.get_users([session.user_id])
    return signed_in(RefreshTokenResponse, user, deps.tokens.issue(session), deps)
