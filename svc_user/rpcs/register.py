"""Register: a new account, logged in."""

from aviary.user.v1.user_pb2 import RegisterRequest, RegisterResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.names import ensure_unreserved
from svc_user.registration import new_account
from svc_user.sessions import signed_in, start_session


async def register(request: RegisterRequest, _: Caller, deps: Deps) -> RegisterResponse:
    """Make an account and log it in.

    Fails with USERNAME_TAKEN, USERNAME_RESERVED, EMAIL_TAKEN, PASSWORD_TOO_COMMON, TOO_MANY_LOGINS.
    """
    ensure_unreserved(request.username)
    user = await new_account(request.username, request.email, request.password, deps, display_name=request.display_name)
    issued = await start_session(
        user.user_id, deps, password_us=0, client=request.client, address=request.client_address
    )
    return signed_in(RegisterResponse, user, issued, deps)
