"""Login: tokens for a password."""

from aviary.user.v1.user_pb2 import LoginRequest, LoginResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.proof import authenticate
from svc_user.sessions import signed_in, start_session


async def login(request: LoginRequest, _: Caller, deps: Deps) -> LoginResponse:
    """Start a login. Fails with CREDENTIALS_WRONG, TOO_MANY_LOGINS, TOO_MANY_GUESSES, ACCOUNT_SUSPENDED."""
    proven = await authenticate(request.login, request.password, request.client_address, deps)
    issued = await start_session(
        proven.user.user_id,
        deps,
        password_us=proven.password_us,
        client=request.client,
        address=request.client_address,
    )
    return signed_in(LoginResponse, proven.user, issued, deps)
