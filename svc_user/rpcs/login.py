"""Login: tokens for a password."""

from aviary.user.v1.user_pb2 import LoginRequest, LoginResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain import NO_ACCOUNT, is_email, own_view, username_key
from svc_user.errors import CredentialsWrong
from svc_user.sessions import start_session


async def login(request: LoginRequest, _: Caller, deps: Deps) -> LoginResponse:
    """Start a login. Fails with CREDENTIALS_WRONG, at the same cost whichever of the two is wrong, and TOO_MANY_LOGINS."""
    key = deps.emails.claim_key(request.login) if is_email(request.login) else username_key(request.login)
    user_id = (await deps.store.holders([key])).get(key, NO_ACCOUNT)
    users = await deps.store.get_users([user_id])
    stored = await deps.store.password_hash(user_id)
    if not await deps.passwords.matches(stored, request.password) or not users:
        raise CredentialsWrong("no account has this name and password")
    issued = await start_session(user_id, deps)
    return LoginResponse(
        user=own_view(users[0], deps.emails.open(users[0].email, user_id)),
        access_token=issued.access_token,
        refresh_token=issued.refresh_token,
        token_type=issued.token_type,
        expires_in=issued.expires_in,
    )
