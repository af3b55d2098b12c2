"""What svc_graph does with its own announcements: a follow under a block ends, whoever died before ending it."""

import uuid
from collections.abc import Sequence

from aviary.graph.v1.events_pb2 import BlockSet, FollowSet

from runtime.bus import Poison, consumes
from svc_graph.deps import Deps
from svc_graph.domain import Pair
from svc_graph.edges import end_edges, make_known
from svc_graph.follows import blocked_since

_ID_BYTES = 16


@consumes(FollowSet, durable="graph-follow-check")
async def end_void_follow(event: FollowSet, deps: Deps) -> None:
    """A replay ends what has ended already.

    A follow is announced in the batch that stores it. So one whose process died before it read the blocks again, or that was
    stored later than anybody waited, is looked at all the same.
    """
    if event.following:
        await _end_if_void([_pair(event.follower_id, event.followee_id)], deps)


@consumes(BlockSet, durable="graph-block-cut")
async def end_blocked_follows(event: BlockSet, deps: Deps) -> None:
    """A replay ends what has ended already; one after the block has ended changes nothing.

    A block is announced in the batch that stores it, so that follows end although its process died before it ended them.
    """
    if event.blocking:
        pair = _pair(event.blocker_id, event.blocked_id)
        await _end_if_void([pair, Pair(pair.followee_id, pair.follower_id)], deps)


async def _end_if_void(pairs: Sequence[Pair], deps: Deps) -> None:
    edges = await deps.store.edges(pairs)
    if not any(edge.following for edge in edges):
        return
    since = await blocked_since(pairs[0], deps)
    if not since:
        return
    with deps.signals.doubted_unless_told():
        async with deps.turns.of(pair.follower_id for pair in pairs):
            written = await end_edges(pairs, since, deps)
        await make_known([written], deps)


def _pair(follower_id: bytes, followee_id: bytes) -> Pair:
    if len(follower_id) != _ID_BYTES or len(followee_id) != _ID_BYTES:
        raise Poison("an id is not 16 bytes long")
    return Pair(uuid.UUID(bytes=follower_id), uuid.UUID(bytes=followee_id))
