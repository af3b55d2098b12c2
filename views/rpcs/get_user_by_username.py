"""GetUserByUsername: one account by its name."""

from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.accounts import view_account
from views.deps import Deps
from views.errors import UserNotFound
from views.ids import text_id
from views.present import degraded


async def get_user_by_username(
    request: view_pb2.GetUserByUsernameRequest, caller: Caller, deps: Deps
) -> view_pb2.GetUserByUsernameResponse:
    """The account of that name, without regard to case. Fails with USER_NOT_FOUND."""
    answer = await deps.user.ResolveUsernames(user_pb2.ResolveUsernamesRequest(usernames=[request.username]))
    if not answer.users:
        raise UserNotFound("no account has this name", username=request.username)
    user_id = text_id(answer.users[0].user_id)
    seen = await view_account(user_id, caller, deps)
    return view_pb2.GetUserByUsernameResponse(user=seen.user, degraded=degraded(seen.away))
