"""ListFollowers: who follows an account."""

from aviary.graph.v1 import graph_pb2
from aviary.view.v1 import view_pb2

from views.accounts import find_account
from views.deps import Deps
from views.ids import raw_id
from views.present import follow_view


async def list_followers(request: view_pb2.ListFollowersRequest, deps: Deps) -> view_pb2.ListFollowersResponse:
    """Followers, latest first. Fails with USER_NOT_FOUND, INVALID_CURSOR."""
    await find_account(request.user_id, deps)
    page = await deps.graph.ListFollowers(
        graph_pb2.ListFollowersRequest(user_id=raw_id(request.user_id), cursor=request.cursor, limit=request.limit)
    )
    users = await deps.authors.get([e.user_id for e in page.entries])
    shown = [follow_view(users[e.user_id].user, e) for e in page.entries if e.user_id in users]
    return view_pb2.ListFollowersResponse(
        followers=shown, next_cursor=page.next_cursor or None, has_more=bool(page.next_cursor)
    )
