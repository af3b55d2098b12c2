"""ListFollowing: whom an account follows."""

from aviary.graph.v1 import graph_pb2
from aviary.view.v1 import view_pb2

from views.accounts import find_account
from views.deps import Deps
from views.ids import raw_id
from views.present import follow_view


async def list_following(request: view_pb2.ListFollowingRequest, deps: Deps) -> view_pb2.ListFollowingResponse:
    """Followed accounts, latest first. Fails with USER_NOT_FOUND, INVALID_CURSOR."""
    await find_account(request.user_id, deps)
    page = await deps.graph.ListFollowing(
        graph_pb2.ListFollowingRequest(user_id=raw_id(request.user_id), cursor=request.cursor, limit=request.limit)
    )
    users = await deps.authors.get([e.user_id for e in page.entries])
    shown = [follow_view(users[e.user_id].user, e) for e in page.entries if e.user_id in users]
    return view_pb2.ListFollowingResponse(
        following=shown, next_cursor=page.next_cursor or None, has_more=bool(page.next_cursor)
    )
