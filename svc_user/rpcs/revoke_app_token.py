"""RevokeAppToken: the end of a login of an app."""

import uuid

from aviary.user.v1.apps_pb2 import RevokeAppTokenRequest, RevokeAppTokenResponse

from runtime.context import Caller
from svc_user.apps.clients import authenticated
from svc_user.apps.logins import end_if_of
from svc_user.deps import Deps


async def revoke_app_token(request: RevokeAppTokenRequest, _: Caller, deps: Deps) -> RevokeAppTokenResponse:
    """End the login of a token of this app; of any other token nothing. Fails with CLIENT_INVALID."""
    app = await authenticated(request.client_id, request.client_secret, deps)
    presented = deps.tokens.read_refresh(request.token)
    if request.session_id:
        await end_if_of(app, uuid.UUID(bytes=request.session_id), deps)
    elif presented is not None:
        await end_if_of(app, presented.session_id, deps)
    return RevokeAppTokenResponse()
