"""ListBlocks: whom the caller blocks."""

from aviary.graph.v1 import graph_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.accounts import own_list
from views.deps import Deps


async def list_blocks(request: view_pb2.ListBlocksRequest, caller: Caller, deps: Deps) -> view_pb2.ListBlocksResponse:
    """Accounts that the caller blocks, latest first. Fails with INVALID_CURSOR."""
    page = await deps.graph.ListBlocksByTime(
        graph_pb2.ListBlocksByTimeRequest(user_id=caller.user_id, cursor=request.cursor, limit=request.limit)
    )
    return view_pb2.ListBlocksResponse(
        users=await own_list(page.entries, deps), next_cursor=page.next_cursor or None, has_more=bool(page.next_cursor)
    )
