"""How blocks and mutes are changed: read, decide, store, end what a block ends, publish, tell; what they are is in stances.py."""

import asyncio
import uuid

from svc_graph.deps import Deps
from svc_graph.edges import end_void, make_known
from svc_graph.events import block_set
from svc_graph.stances import BLOCK, MUTE, Stance, changed_stance
from svc_graph.telling import settled


async def block(user_id: uuid.UUID, other_id: uuid.UUID, deps: Deps) -> None:
    """Let a block stand, then end the follows between the two, both ways.

    The block comes first: a follow that is set at the same moment is seen here, or sees the block (follows.py).
    """
    with deps.signals.doubted_unless_told():
        async with deps.turns.of([user_id, other_id]):
            stance, versions = await _set_block(user_id, other_id, True, deps)
            ended = await end_void(user_id, other_id, deps)
            deps.faults.at("graph.block.after_ends")
        await make_known([ended], deps, stance, versions)
    deps.faults.at("graph.block.before_answer")


async def unblock(user_id: uuid.UUID, other_id: uuid.UUID, deps: Deps) -> None:
    """Let a block stand no longer. A follow that it should have ended, and did not because its process died, ends before."""
    async with deps.turns.of([user_id, other_id]):
        [before] = await deps.store.stances(BLOCK, user_id, [other_id])
        if not before.version:
            return
        ended = [await end_void(user_id, other_id, deps)] if before.stands else []
        stance, versions = await _set_block(user_id, other_id, False, deps)
    await make_known(ended, deps, stance, versions)
    deps.faults.at("graph.block.before_answer")


async def mute(user_id: uuid.UUID, other_id: uuid.UUID, until_ms: int, deps: Deps) -> None:
    """Let a mute stand until a time, 0 for ever."""
    with deps.signals.doubted_unless_told():
        await _set_mute(user_id, other_id, True, until_ms, deps)


async def unmute(user_id: uuid.UUID, other_id: uuid.UUID, deps: Deps) -> None:
    """Let a mute stand no longer."""
    await _set_mute(user_id, other_id, False, 0, deps)


async def _set_mute(user_id: uuid.UUID, other_id: uuid.UUID, stands: bool, until_ms: int, deps: Deps) -> None:
    async with deps.turns.of([user_id]):
        before, after, standing = await _next(Stance(MUTE, user_id, other_id), stands, until_ms, deps)
        if not after.version:
            return
        deps.faults.at("graph.mute.before_batch")
        await deps.store.set_stance(before, after, announce=[])
        deps.faults.at("graph.mute.after_batch")
        _remember(after, standing, deps)
        versions = await settled({user_id: after.version}, deps)
    await make_known([], deps, after, versions)
    deps.faults.at("graph.mute.before_answer")


async def _set_block(
    user_id: uuid.UUID, other_id: uuid.UUID, stands: bool, deps: Deps
) -> tuple[Stance, dict[uuid.UUID, int]]:
    """The state, stored, and the version that a snapshot of the account must have to hold it."""
    before, after, standing = await _next(Stance(BLOCK, user_id, other_id), stands, 0, deps)
    deps.faults.at("graph.block.before_batch")
    await deps.store.set_stance(before, after, announce=[block_set(after)])
    deps.faults.at("graph.block.after_batch")
    _remember(after, standing, deps)
    return after, await settled({user_id: after.version}, deps, blocked=[other_id])


async def _next(one: Stance, stands: bool, until_ms: int, deps: Deps) -> tuple[Stance, Stance, int | None]:
    """The stored state, and the one to store: the same once more, if it is as wanted, for a first try may be stored in parts so far.

    And how many the account blocks, or mutes, before it is stored, if it will be one more. Raises BlockLimitReached, MuteLimitReached.
    """
    async with asyncio.TaskGroup() as reads:
        states = reads.create_task(deps.store.stances(one.relation, one.user_id, [one.other_id]))
        newest = reads.create_task(deps.store.versions([one.user_id]))
    [before] = states.result()
    version, now_ms = newest.result()[one.user_id], deps.clock.now_ms()
    standing = None
    if stands and not before.holds(now_ms):
        standing = await deps.stance_limits.ensure_below(one.relation, one.user_id, version, now_ms)
    if (before.stands, before.until_ms) == (stands, until_ms):
        return before, before, standing
    least = max(deps.clock.now_us(), version + 1)
    return before, changed_stance(before, stands, until_ms, least), standing


def _remember(after: Stance, standing: int | None, deps: Deps) -> None:
    if standing is not None:
        deps.stance_limits.remember(after.relation, after.user_id, after.version, standing + 1)
