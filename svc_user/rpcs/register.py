"""Register: a new account, logged in."""

from aviary.user.v1.user_pb2 import RegisterRequest, RegisterResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import User
from svc_user.registration import claim_both, make_account
from svc_user.sessions import signed_in, start_session


async def register(request: RegisterRequest, _: Caller, deps: Deps) -> RegisterResponse:
    """Make an account and log it in. Fails with USERNAME_TAKEN, EMAIL_TAKEN, PASSWORD_TOO_COMMON, TOO_MANY_LOGINS."""
    deps.passwords.ensure_uncommon(request.password)
    # Before the claims: what is slow must not age them.
    password_hash = await deps.passwords.hash(request.password)
    user_id = deps.ids.next()
    user = User(
        user_id=user_id,
        username=request.username,
        display_name=request.display_name or request.username,
        email=deps.emails.seal(request.email, user_id),
    )
    held = await claim_both(user_id, request.username, request.email, deps)
    await make_account(user, password_hash, held, deps)
    return signed_in(RegisterResponse, user, await start_session(user_id, deps), deps)
