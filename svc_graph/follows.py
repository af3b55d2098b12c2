"""Following: allowed while no block stands between the two, and below the limit. How a follow is stored is in edges.py."""

import asyncio
import uuid
from collections.abc import Mapping

from svc_graph.deps import Deps
from svc_graph.domain import Pair
from svc_graph.edges import Written, end_edges, make_known, write_edges
from svc_graph.errors import Blocked
from svc_graph.stances import BLOCK


async def follow(pair: Pair, deps: Deps) -> None:
    """Set a follow, as its follower wants. Raises Blocked and FollowLimitReached.

    Blocks are read before it is written, and again after it: a block that comes at the same moment is written before it reads
    which follows it must end. So one of the two sees the other, and no follow stays.
    """
    written: list[Written] = []
    async with deps.turns.of([pair.follower_id]):
        since = await blocked_since(pair, deps)
        if not since:
            written.append(await _write(pair, deps))
            since = await blocked_since(pair, deps)
        if since:
            # Also one of long ago, of which the block that was to end it died.
            written.append(await end_edges([pair], since, deps))
    if since and not any(one.changes for one in written):
        raise _blocked(pair)
    await make_known(written, deps)
    if since:
        raise _blocked(pair)
    deps.faults.at("graph.follow.before_answer")


async def blocked_since(pair: Pair, deps: Deps) -> int:
    """The version of the block that stands between two accounts, either way; 0 for none."""
    follower_id, followee_id = pair
    [own], others = await asyncio.gather(
        deps.store.stances(BLOCK, follower_id, [followee_id]), deps.store.blockers_among(follower_id, [followee_id])
    )
    return max(own.version if own.stands else 0, others.get(followee_id, 0))


async def _write(pair: Pair, deps: Deps) -> Written:
    follower_id, following = pair.follower_id, 0

    async def ensure_below_limit(versions: Mapping[uuid.UUID, int]) -> None:
        nonlocal following
        following = await deps.limits.ensure_below(follower_id, versions[follower_id])

    written = await write_edges([pair], True, deps, ensure_below_limit)
    for change in written.changes:
        deps.limits.remember(follower_id, change.after.version, following + 1)
    return written


def _blocked(pair: Pair) -> Blocked:
    return Blocked("a block stands between the two accounts", followee_id=pair.followee_id)
