"""ImportFollows: many follows of any accounts at once."""

import uuid

from aviary.graph.v1.graph_pb2 import ImportFollowsRequest, ImportFollowsResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.domain import pair_of
from svc_graph.edges import set_edges


async def import_follows(request: ImportFollowsRequest, _: Caller, deps: Deps) -> ImportFollowsResponse:
    """Set the follows that are not there yet, with the rows and events of Follow. Fails with CANNOT_FOLLOW_SELF, FOLLOWEE_NOT_FOUND.

    No limit holds here, and blocks are not asked: a follow under one shows nowhere, and ends when its announcement arrives.
    """
    named = dict.fromkeys(request.pairs)
    pairs = [pair_of(uuid.UUID(bytes=packed[:16]), uuid.UUID(bytes=packed[16:])) for packed in named]
    await deps.accounts.ensure_followable(pair.followee_id for pair in pairs)
    return ImportFollowsResponse(created=await set_edges(pairs, True, deps))
