"""ListFollowers: who follows an account."""

from aviary.graph.v1 import graph_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from runtime.errors import Unauthenticated
from views.accounts import find_account, follow_page
from views.deps import Deps
from views.ids import raw_id

_Page = graph_pb2.ListFollowersByTimeResponse | graph_pb2.ListKnownFollowersResponse


async def list_followers(
    request: view_pb2.ListFollowersRequest, caller: Caller, deps: Deps
) -> view_pb2.ListFollowersResponse:
    """Followers, latest first, whom the caller may see; none of a suspended account; `known`: those whom the caller follows.

    Fails with USER_NOT_FOUND, INVALID_CURSOR, and `known` without a caller with TOKEN_MISSING.
    """
    if request.known and not caller.user_id:
        raise Unauthenticated("known=true needs a signed-in user")
    if (await find_account(request.user_id, deps)).hidden:
        return view_pb2.ListFollowersResponse()
    page = await (_known if request.known else _all)(request, caller, deps)
    return view_pb2.ListFollowersResponse(
        followers=await follow_page(page.entries, caller, deps, muted=not request.known),
        next_cursor=page.next_cursor or None,
        has_more=bool(page.next_cursor),
    )


async def _all(request: view_pb2.ListFollowersRequest, _: Caller, deps: Deps) -> _Page:
    return await deps.graph.ListFollowersByTime(
        graph_pb2.ListFollowersByTimeRequest(
            user_id=raw_id(request.user_id), cursor=request.cursor, limit=request.limit
        )
    )


async def _known(request: view_pb2.ListFollowersRequest, caller: Caller, deps: Deps) -> _Page:
    return await deps.graph.ListKnownFollowers(
        graph_pb2.ListKnownFollowersRequest(
            user_id=raw_id(request.user_id), viewer_id=caller.user_id, cursor=request.cursor, limit=request.limit
        )
    )
