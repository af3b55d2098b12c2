"""What svc_graph does with its own announcements: a follow under a block ends, whoever died before ending it,
and no name of a viewer's state outlives what was stored late.
"""

import uuid

from aviary.graph.v1.events_pb2 import BlockSet, FollowSet

from runtime.bus import Poison, consumes
from svc_graph.deps import Deps
from svc_graph.edges import end_void, make_known
from svc_graph.hidden import blocked_either_way
from svc_graph.telling import settle_late

_ID_BYTES = 16


@consumes(FollowSet, durable="graph-follow-check")
async def end_void_follow(event: FollowSet, deps: Deps) -> None:
    """A replay ends what has ended already.

    A follow is announced in the batch that stores it. So one whose process died before it read the blocks again, or that was
    stored later than anybody waited, is looked at all the same.
    """
    follower_id, followee_id = _both(event.follower_id, event.followee_id)
    await settle_late(event.version, follower_id, [], deps)
    if event.following:
        await _end_void(follower_id, followee_id, deps)


@consumes(BlockSet, durable="graph-block-cut")
async def end_blocked_follows(event: BlockSet, deps: Deps) -> None:
    """A replay ends what has ended already; one after the block has ended changes nothing.

    A block is announced in the batch that stores it, so that follows end although its process died before it ended them.
    """
    blocker_id, blocked_id = _both(event.blocker_id, event.blocked_id)
    await settle_late(event.version, blocker_id, [blocked_id], deps)
    if event.blocking:
        await _end_void(blocker_id, blocked_id, deps)


def _both(one: bytes, other: bytes) -> tuple[uuid.UUID, uuid.UUID]:
    if len(one) != _ID_BYTES or len(other) != _ID_BYTES:
        raise Poison("an id is not 16 bytes long")
    return uuid.UUID(bytes=one), uuid.UUID(bytes=other)


async def _end_void(one: uuid.UUID, other: uuid.UUID, deps: Deps) -> None:
    if not await blocked_either_way(one, [other], deps):
        return
    async with deps.turns.of([one, other]):
        written = await end_void(one, other, deps)
    if written.changes:
        await make_known([written], deps)
