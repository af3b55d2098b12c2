"""ListBlocksByTime: whom an account blocks, latest first."""

import uuid

from aviary.graph.v1.graph_pb2 import ListBlocksByTimeRequest, ListBlocksByTimeResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.domain import ListedFollow
from svc_graph.listing import Listing
from svc_graph.stances import BLOCK


async def list_blocks_by_time(request: ListBlocksByTimeRequest, caller: Caller, deps: Deps) -> ListBlocksByTimeResponse:
    """A page of whom an account blocks, latest first. Fails with INVALID_CURSOR."""
    listing, now_ms = Listing(request, caller, deps.cursors), deps.clock.now_ms()
    user_id = uuid.UUID(bytes=request.user_id)
    stances = await deps.store.list_stances(BLOCK, user_id, listing.before(), request.limit + 1, now_ms)
    entries, next_cursor = listing.page([ListedFollow(stance.stance_id, stance.other_id) for stance in stances])
    return ListBlocksByTimeResponse(entries=entries, next_cursor=next_cursor)
