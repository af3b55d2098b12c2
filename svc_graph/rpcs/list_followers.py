"""ListFollowers: who follows an account, latest first."""

import uuid

from aviary.graph.v1.graph_pb2 import ListFollowersRequest, ListFollowersResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.listing import Listing


async def list_followers(request: ListFollowersRequest, caller: Caller, deps: Deps) -> ListFollowersResponse:
    """A page of who follows an account, latest first. Fails with INVALID_CURSOR."""
    listing = Listing(request, caller, deps.cursors)
    rows = await deps.store.list_followers(uuid.UUID(bytes=request.user_id), listing.before(), request.limit + 1)
    entries, next_cursor = listing.page(rows)
    return ListFollowersResponse(entries=entries, next_cursor=next_cursor)
