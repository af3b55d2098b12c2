"""Who is left out of what is proposed to a viewer: whom blocks stand between, and the muted. The views judge everything else."""

import asyncio
import uuid
from collections.abc import Sequence

from svc_graph.deps import Deps
from svc_graph.stances import BLOCK, MUTE


async def blocked_either_way(user_id: uuid.UUID, others: Sequence[uuid.UUID], deps: Deps) -> set[uuid.UUID]:
    """Those of the others whom the account blocks or who block it."""
    blocks, blockers = await asyncio.gather(
        deps.store.stances(BLOCK, user_id, others), deps.store.blockers_among(user_id, others)
    )
    return set(blockers) | {block.other_id for block in blocks if block.stands}


async def hidden_from(viewer: uuid.UUID, others: Sequence[uuid.UUID], deps: Deps) -> set[uuid.UUID]:
    """Those of the others whom the viewer blocks or mutes now, or who block the viewer."""
    blocked, mutes = await asyncio.gather(
        blocked_either_way(viewer, others, deps), deps.store.stances(MUTE, viewer, others)
    )
    now_ms = deps.clock.now_ms()
    return blocked | {mute.other_id for mute in mutes if mute.holds(now_ms)}
