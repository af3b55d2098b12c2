"""GetMe: the caller's own account."""

from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.deps import Deps


async def get_me(_: view_pb2.GetMeRequest, __: Caller, deps: Deps) -> view_pb2.GetMeResponse:
    """The account with e-mail and role, read from its owner. Fails with USER_NOT_FOUND."""
    answer = await deps.user.GetAccount(user_pb2.GetAccountRequest())
    return view_pb2.GetMeResponse(user=answer.user)
