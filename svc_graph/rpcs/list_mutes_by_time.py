"""ListMutesByTime: whom an account mutes, latest first."""

import uuid

from aviary.graph.v1.graph_pb2 import ListMutesByTimeRequest, ListMutesByTimeResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.domain import ListedFollow
from svc_graph.listing import Listing
from svc_graph.stances import MUTE


async def list_mutes_by_time(request: ListMutesByTimeRequest, caller: Caller, deps: Deps) -> ListMutesByTimeResponse:
    """A page of whom an account mutes, latest first; a mute whose time is over is none. Fails with INVALID_CURSOR."""
    listing, now_ms = Listing(request, caller, deps.cursors), deps.clock.now_ms()
    user_id = uuid.UUID(bytes=request.user_id)
    stances = await deps.store.list_stances(MUTE, user_id, listing.before(), request.limit + 1, now_ms)
    entries, next_cursor = listing.page([ListedFollow(stance.stance_id, stance.other_id) for stance in stances])
    return ListMutesByTimeResponse(entries=entries, next_cursor=next_cursor)
