"""ListFollowingByTime: whom an account follows, latest first."""

import uuid

from aviary.graph.v1.graph_pb2 import ListFollowingByTimeRequest, ListFollowingByTimeResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.listing import Listing


async def list_following_by_time(
    request: ListFollowingByTimeRequest, caller: Caller, deps: Deps
) -> ListFollowingByTimeResponse:
    """A page of whom an account follows, latest first. Fails with INVALID_CURSOR."""
    listing = Listing(request, caller, deps.cursors)
    rows = await deps.store.list_following(uuid.UUID(bytes=request.user_id), listing.before(), request.limit + 1)
    entries, next_cursor = listing.page(rows)
    return ListFollowingByTimeResponse(entries=entries, next_cursor=next_cursor)
