"""GetRelationships: how one account stands to others, both ways."""

import asyncio
import uuid

from aviary.graph.v1.graph_pb2 import GetRelationshipsRequest, GetRelationshipsResponse, RelationshipEntry

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.domain import Pair


async def get_relationships(request: GetRelationshipsRequest, _: Caller, deps: Deps) -> GetRelationshipsResponse:
    """One entry for each of the others; nobody follows oneself."""
    user_id = uuid.UUID(bytes=request.user_id)
    others = [uuid.UUID(bytes=other) for other in request.other_ids]
    async with asyncio.TaskGroup() as reads:
        edges = reads.create_task(deps.store.edges([Pair(user_id, other) for other in others]))
        followers = reads.create_task(deps.store.followers_among(user_id, others))
    entries = [
        RelationshipEntry(
            user_id=edge.pair.followee_id.bytes,
            following=edge.following,
            followed_by=edge.pair.followee_id in followers.result(),
        )
        for edge in edges.result()
    ]
    return GetRelationshipsResponse(entries=entries)
