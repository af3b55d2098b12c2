"""ListMutes: whom the caller mutes."""

from aviary.graph.v1 import graph_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.accounts import own_list
from views.deps import Deps


async def list_mutes(request: view_pb2.ListMutesRequest, caller: Caller, deps: Deps) -> view_pb2.ListMutesResponse:
    """Accounts that the caller mutes, latest first. Fails with INVALID_CURSOR."""
    page = await deps.graph.ListMutesByTime(
        graph_pb2.ListMutesByTimeRequest(user_id=caller.user_id, cursor=request.cursor, limit=request.limit)
    )
    return view_pb2.ListMutesResponse(
        users=await own_list(page.entries, deps), next_cursor=page.next_cursor or None, has_more=bool(page.next_cursor)
    )
