"""ListFollowing: whom an account follows."""

from aviary.graph.v1 import graph_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.accounts import find_account, follow_page
from views.deps import Deps
from views.ids import raw_id


async def list_following(
    request: view_pb2.ListFollowingRequest, caller: Caller, deps: Deps
) -> view_pb2.ListFollowingResponse:
    """Followed accounts, latest first, whom the caller may see; none of a suspended account. Fails with USER_NOT_FOUND, INVALID_CURSOR."""
    if (await find_account(request.user_id, deps)).hidden:
        return view_pb2.ListFollowingResponse()
    page = await deps.graph.ListFollowingByTime(
        graph_pb2.ListFollowingByTimeRequest(
            user_id=raw_id(request.user_id), cursor=request.cursor, limit=request.limit
        )
    )
    return view_pb2.ListFollowingResponse(
        following=await follow_page(page.entries, caller, deps),
        next_cursor=page.next_cursor or None,
        has_more=bool(page.next_cursor),
    )
