"""Following: allowed while no block stands between the two, and below the limit. How a follow is stored is in edges.py."""

import uuid
from collections.abc import Mapping

from svc_graph.deps import Deps
from svc_graph.domain import Pair
from svc_graph.edges import Written, end_void, make_known, write_edges
from svc_graph.errors import Blocked
from svc_graph.hidden import blocked_either_way


async def follow(pair: Pair, deps: Deps) -> None:
    """Set a follow, as its follower wants. Raises Blocked and FollowLimitReached.

    Blocks are read before it is written, and again after it: a block that comes at the same moment is written before it reads
    which follows it must end. So one of the two sees the other, and no follow stays.
    """
    written: list[Written] = []
    # Only what changes something takes turns: many who follow at once wait for each other as shortly as can be.
    void = await _is_void(pair, deps)
    if not void:
        async with deps.turns.of([pair.follower_id]):
            written.append(await _write(pair, deps))
        void = await _is_void(pair, deps)
    if void:
        async with deps.turns.of(pair):
            # Also one of long ago, of which the block that was to end it died.
            written.append(await end_void(*pair, deps))
    if not void or any(one.changes for one in written):
        await make_known(written, deps)
    if void:
        raise Blocked("a block stands between the two accounts", followee_id=pair.followee_id)
    deps.faults.at("graph.follow.before_answer")


async def _is_void(pair: Pair, deps: Deps) -> bool:
    return bool(await blocked_either_way(pair.follower_id, [pair.followee_id], deps))


async def _write(pair: Pair, deps: Deps) -> Written:
    follower_id, following = pair.follower_id, 0

    async def ensure_below_limit(versions: Mapping[uuid.UUID, int]) -> None:
        nonlocal following
        following = await deps.limits.ensure_below(follower_id, versions[follower_id])

    written = await write_edges([pair], True, deps, ensure_below_limit)
    for change in written.changes:
        deps.limits.remember(follower_id, change.after.version, following + 1)
    return written
