"""ListUsers: all accounts, page by page."""

from aviary.user.v1.user_pb2 import ListUsersRequest, ListUsersResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import public_view


async def list_users(request: ListUsersRequest, _: Caller, deps: Deps) -> ListUsersResponse:
    """The next page of all accounts in no particular order. Fails with INVALID_CURSOR."""
    page = await deps.store.list_users(request.after, request.limit)
    return ListUsersResponse(users=[public_view(user) for user in page.users], next_after=page.next_after)
