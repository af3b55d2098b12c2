"""ListKnownFollowers: followers of an account whom a viewer follows."""

import uuid

from aviary.graph.v1 import graph_pb2
from aviary.graph.v1.graph_pb2 import ListKnownFollowersRequest, ListKnownFollowersResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.known import known_followers
from svc_graph.listing import entry

_ROUTE = graph_pb2.DESCRIPTOR.services_by_name["GraphService"].methods_by_name["ListKnownFollowers"].full_name


async def list_known_followers(request: ListKnownFollowersRequest, _: Caller, deps: Deps) -> ListKnownFollowersResponse:
    """A page of them in the order of their ids; one with a cursor may be short or empty. Fails with INVALID_CURSOR."""
    viewer, user_id = request.viewer_id, request.user_id
    after = deps.cursors.open(request.cursor, _ROUTE, viewer, user_id) if request.cursor else b""
    page = await known_followers(
        uuid.UUID(bytes=user_id),
        uuid.UUID(bytes=viewer),
        uuid.UUID(bytes=after) if after else None,
        request.limit,
        deps,
    )
    cursor = deps.cursors.seal(_ROUTE, viewer, user_id, page.next_after.bytes) if page.next_after else ""
    return ListKnownFollowersResponse(entries=[entry(row) for row in page.rows], next_cursor=cursor)
