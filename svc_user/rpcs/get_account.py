"""GetAccount: the caller's own account."""

import uuid

from aviary.user.v1.user_pb2 import GetAccountRequest, GetAccountResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import own_view
from svc_user.errors import UserNotFound


async def get_account(_: GetAccountRequest, caller: Caller, deps: Deps) -> GetAccountResponse:
    """The account of the caller with what only its owner may see. Fails with USER_NOT_FOUND."""
    user_id = uuid.UUID(bytes=caller.user_id)
    users = await deps.store.get_users([user_id])
    if not users:
        raise UserNotFound("there is no such account", user_id=user_id)
    return GetAccountResponse(user=own_view(users[0], deps.emails.open(users[0].email, user_id)))
