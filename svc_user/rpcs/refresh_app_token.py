"""RefreshAppToken: the next tokens of an app."""

from aviary.user.v1.apps_pb2 import AppTokens, RefreshAppTokenRequest, RefreshAppTokenResponse

from runtime.context import Caller
from runtime.errors import FieldProblem, InvalidArgument
from svc_user.apps.clients import authenticated
from svc_user.apps.logins import refreshed
from svc_user.deps import Deps


async def refresh_app_token(request: RefreshAppTokenRequest, _: Caller, deps: Deps) -> RefreshAppTokenResponse:
    """Exchange a refresh token; parallel calls get the same successor. Fails with CLIENT_INVALID, GRANT_INVALID, ACCOUNT_SUSPENDED.

    Fewer scopes are those of this access token alone; the login keeps what was granted. More are refused.
    """
    app = await authenticated(request.client_id, request.client_secret, deps)
    session = await refreshed(request.refresh_token, app, request.client_address, deps)
    scopes = tuple(dict.fromkeys(request.scopes)) or session.scopes
    if not set(scopes) <= set(session.scopes):
        problem = FieldProblem("scopes", "must be among those that were granted")
        raise InvalidArgument("a scope was not granted", fields=[problem])
    issued = deps.tokens.issue(session, scopes)
    tokens = AppTokens(
        access_token=issued.access_token,
        refresh_token=issued.refresh_token,
        expires_in=issued.expires_in,
        scopes=scopes,
    )
    return RefreshAppTokenResponse(tokens=tokens)
