"""ExchangeCode: the first tokens of an app."""

from aviary.user.v1.apps_pb2 import AppTokens, ExchangeCodeRequest, ExchangeCodeResponse

from runtime.context import Caller
from svc_user.apps.clients import active_user, authenticated
from svc_user.apps.codes import exchange, find_code
from svc_user.deps import Deps


async def exchange_code(request: ExchangeCodeRequest, _: Caller, deps: Deps) -> ExchangeCodeResponse:
    """Exchange a code once. Fails with CLIENT_INVALID, GRANT_INVALID, ACCOUNT_SUSPENDED, USER_NOT_FOUND."""
    app = await authenticated(request.client_id, request.client_secret, deps)
    code = await find_code(request.code, app, request.redirect_uri, request.code_verifier, deps)
    await active_user(code.user_id, deps)
    issued = await exchange(code, app, request.client_address, deps)
    tokens = AppTokens(
        access_token=issued.access_token,
        refresh_token=issued.refresh_token,
        expires_in=issued.expires_in,
        scopes=code.scopes,
    )
    return ExchangeCodeResponse(tokens=tokens)
