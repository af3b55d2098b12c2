"""ListFollowersByTime: who follows an account, latest first."""

import uuid

from aviary.graph.v1.graph_pb2 import ListFollowersByTimeRequest, ListFollowersByTimeResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.listing import Listing
from svc_graph.void import without_void


async def list_followers_by_time(
    request: ListFollowersByTimeRequest, caller: Caller, deps: Deps
) -> ListFollowersByTimeResponse:
    """A page of who follows an account, latest first; a follow under a block is none. Fails with INVALID_CURSOR."""
    listing = Listing(request, caller, deps.cursors)
    user_id = uuid.UUID(bytes=request.user_id)
    rows = await without_void(user_id, deps.store.list_followers, listing.before(), request.limit + 1, deps)
    entries, next_cursor = listing.page(rows)
    return ListFollowersByTimeResponse(entries=entries, next_cursor=next_cursor)
