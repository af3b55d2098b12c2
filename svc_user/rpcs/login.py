"""Login: tokens for a password."""

import asyncio

from aviary.user.v1.user_pb2 import LoginRequest, LoginResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import NO_ACCOUNT
from svc_user.domain.names import is_email, username_key
from svc_user.errors import CredentialsWrong
from svc_user.sessions import signed_in, start_session


async def login(request: LoginRequest, _: Caller, deps: Deps) -> LoginResponse:
    """Start a login. Fails with CREDENTIALS_WRONG, at the same cost whichever of the two is wrong, and TOO_MANY_LOGINS."""
    key = deps.emails.claim_key(request.login) if is_email(request.login) else username_key(request.login)
    user_id = (await deps.store.holders([key])).get(key, NO_ACCOUNT)
    async with asyncio.TaskGroup() as group:
        finding = group.create_task(deps.store.get_users([user_id]))
        stored = group.create_task(deps.store.password_hash(user_id))
    users = finding.result()
    if not await deps.passwords.matches(stored.result(), request.password) or not users:
        raise CredentialsWrong("no account has this name and password")
    return signed_in(LoginResponse, users[0], await start_session(user_id, deps), deps)
