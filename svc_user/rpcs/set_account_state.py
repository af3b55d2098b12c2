"""SetAccountState: status, role, badge and limitation of an account, for who moderates."""

import uuid

from aviary.user.v1.user_pb2 import SetAccountStateRequest, SetAccountStateResponse

from runtime.context import Caller
from svc_user.changes import change_account
from svc_user.deps import Deps
from svc_user.domain.accounts import public_view, with_state
from svc_user.names import existing_account


async def set_account_state(request: SetAccountStateRequest, _: Caller, deps: Deps) -> SetAccountStateResponse:
    """Set what is given. Every cache and every edge was told when it is answered. Fails with USER_NOT_FOUND."""
    before = await existing_account(uuid.UUID(bytes=request.user_id), deps)
    return SetAccountStateResponse(user=public_view(await change_account(before, with_state(before, request), deps)))
