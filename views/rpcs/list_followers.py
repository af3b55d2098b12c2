"""ListFollowers: who follows an account."""

from aviary.graph.v1 import graph_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.accounts import find_account, follow_page
from views.deps import Deps
from views.ids import raw_id


async def list_followers(
    request: view_pb2.ListFollowersRequest, caller: Caller, deps: Deps
) -> view_pb2.ListFollowersResponse:
    """Followers, latest first, whom the caller may see; none of a suspended account. Fails with USER_NOT_FOUND, INVALID_CURSOR."""
    if (await find_account(request.user_id, deps)).hidden:
        return view_pb2.ListFollowersResponse()
    page = await deps.graph.ListFollowersByTime(
        graph_pb2.ListFollowersByTimeRequest(
            user_id=raw_id(request.user_id), cursor=request.cursor, limit=request.limit
        )
    )
    return view_pb2.ListFollowersResponse(
        followers=await follow_page(page.entries, caller, deps),
        next_cursor=page.next_cursor or None,
        has_more=bool(page.next_cursor),
    )
