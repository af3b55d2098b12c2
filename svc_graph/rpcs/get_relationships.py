"""GetRelationships: how one account stands to others, both ways."""

import asyncio
import uuid

from aviary.graph.v1.graph_pb2 import GetRelationshipsRequest, GetRelationshipsResponse, RelationshipEntry

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.domain import Pair
from svc_graph.stances import BLOCK, MUTE


async def get_relationships(request: GetRelationshipsRequest, _: Caller, deps: Deps) -> GetRelationshipsResponse:
    """One entry for each of the others; nobody follows oneself. A follow under a block is void."""
    user_id, now_ms = uuid.UUID(bytes=request.user_id), deps.clock.now_ms()
    others = [uuid.UUID(bytes=other) for other in request.other_ids]
    if request.blocks_only:
        return GetRelationshipsResponse(entries=await _blocks(user_id, others, deps))
    async with asyncio.TaskGroup() as reads:
        edges = reads.create_task(deps.store.edges([Pair(user_id, other) for other in others]))
        followers = reads.create_task(deps.store.followers_among(user_id, others))
        blocks = reads.create_task(deps.store.stances(BLOCK, user_id, others))
        blockers = reads.create_task(deps.store.blockers_among(user_id, others))
        mutes = reads.create_task(deps.store.stances(MUTE, user_id, others))
    entries = []
    for edge, block, mute in zip(edges.result(), blocks.result(), mutes.result(), strict=True):
        other = edge.pair.followee_id
        apart = block.stands or other in blockers.result()
        entries.append(
            RelationshipEntry(
                user_id=other.bytes,
                following=edge.following and not apart,
                followed_by=other in followers.result() and not apart,
                blocking=block.stands,
                blocked_by=other in blockers.result(),
                muting=mute.holds(now_ms),
            )
        )
    return GetRelationshipsResponse(entries=entries)


async def _blocks(user_id: uuid.UUID, others: list[uuid.UUID], deps: Deps) -> list[RelationshipEntry]:
    blocks, blockers = await asyncio.gather(
        deps.store.stances(BLOCK, user_id, others), deps.store.blockers_among(user_id, others)
    )
    return [
        RelationshipEntry(user_id=block.other_id.bytes, blocking=block.stands, blocked_by=block.other_id in blockers)
        for block in blocks
    ]
