"""CreateAdmin: an account that can log in and has a role."""

from dataclasses import replace

from aviary.user.v1.user_pb2 import CreateAdminRequest, CreateAdminResponse

from runtime.context import Caller
from svc_user.changes import change_account
from svc_user.deps import Deps
from svc_user.domain.accounts import User
from svc_user.domain.names import username_key
from svc_user.errors import UsernameTaken
from svc_user.names import bearer, bears
from svc_user.registration import new_account


async def create_admin(request: CreateAdminRequest, _: Caller, deps: Deps) -> CreateAdminResponse:
    """Make the account with its role at once, or give the role to the one that has username, e-mail address and password already.

    Reserved usernames are its to give. Fails with USERNAME_TAKEN, EMAIL_TAKEN, PASSWORD_TOO_COMMON, TOO_MANY_LOGINS.
    """
    key = username_key(request.username)
    there = await bearer(key, deps)
    if there is None:
        user = await new_account(request.username, request.email, request.password, deps, role=request.role)
        return CreateAdminResponse(user_id=user.user_id.bytes, created=True)
    if not await is_the_one(there, request, deps):
        raise UsernameTaken("is an account's that has another e-mail address or password")
    await change_account(there, replace(there, role=request.role), deps)
    return CreateAdminResponse(user_id=there.user_id.bytes, created=False)


async def is_the_one(user: User, request: CreateAdminRequest, deps: Deps) -> bool:
    """Whether an account was made, by this rpc or by registering, with what the request says."""
    with deps.passwords.place() as place:
        known = await deps.logins.password(user.user_id)
        matches = await place.matches(known.hash if known else None, request.password)
    return matches and bears(user, deps.emails.claim_key(request.email), deps)
