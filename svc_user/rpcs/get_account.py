"""GetAccount: the caller's own account."""

import uuid

from aviary.user.v1.user_pb2 import GetAccountRequest, GetAccountResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import may_see_email, own_view
from svc_user.names import existing_account


async def get_account(_: GetAccountRequest, caller: Caller, deps: Deps) -> GetAccountResponse:
    """The account of the caller with what only its owner may see, the e-mail address not by an app. Fails with USER_NOT_FOUND."""
    user = await existing_account(uuid.UUID(bytes=caller.user_id), deps)
    email = deps.emails.open(user.email, user.user_id) if may_see_email(caller) else ""
    return GetAccountResponse(user=own_view(user, email))
