"""What svc_graph does with its own announcements: a follow under a block ends, whoever died before ending it."""

import uuid

from aviary.graph.v1.events_pb2 import BlockSet, FollowSet

from runtime.bus import Poison, consumes
from svc_graph.deps import Deps
from svc_graph.edges import end_void, make_known
from svc_graph.hidden import blocked_either_way

_ID_BYTES = 16


@consumes(FollowSet, durable="graph-follow-check")
async def end_void_follow(event: FollowSet, deps: Deps) -> None:
    """A replay ends what has ended already.

    A follow is announced in the batch that stores it. So one whose process died before it read the blocks again, or that was
    stored later than anybody waited, is looked at all the same.
    """
    if event.following:
        await _end_void(event.follower_id, event.followee_id, deps)


@consumes(BlockSet, durable="graph-block-cut")
async def end_blocked_follows(event: BlockSet, deps: Deps) -> None:
    """A replay ends what has ended already; one after the block has ended changes nothing.

    A block is announced in the batch that stores it, so that follows end although its process died before it ended them.
    """
    if event.blocking:
        await _end_void(event.blocker_id, event.blocked_id, deps)


async def _end_void(one: bytes, other: bytes, deps: Deps) -> None:
    if len(one) != _ID_BYTES or len(other) != _ID_BYTES:
        raise Poison("an id is not 16 bytes long")
    both = uuid.UUID(bytes=one), uuid.UUID(bytes=other)
    if not await blocked_either_way(both[0], [both[1]], deps):
        return
    async with deps.turns.of(both):
        written = await end_void(*both, deps)
    if written.changes:
        await make_known([written], deps)
