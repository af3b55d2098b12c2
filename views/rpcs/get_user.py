"""GetUser: one account."""

from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.accounts import view_account
from views.deps import Deps
from views.present import degraded


async def get_user(request: view_pb2.GetUserRequest, caller: Caller, deps: Deps) -> view_pb2.GetUserResponse:
    """The account with the caller's relationship to it. Fails with USER_NOT_FOUND."""
    seen = await view_account(request.user_id, caller, deps)
    return view_pb2.GetUserResponse(user=seen.user, degraded=degraded(seen.away))
