"""How everybody is told of a change before it is answered: the actor's own reads, and the caches of all processes."""

import asyncio
import uuid
from collections.abc import Iterable, Mapping, Sequence

from aviary.graph.v1.events_pb2 import RELATION_FOLLOW, RelationChange

from readers.recent import GRAPH_VERSION, OwnWrite
from runtime import telemetry
from runtime.errors import Unavailable
from svc_graph.deps import Deps
from svc_graph.domain import Edge
from svc_graph.stances import Stance, may_be_named

TOLD_WITHIN_S = 0.05
"""For so long the answer of a change that hides nothing waits for the broker: until it is heard, caches show less, not more."""

log = telemetry.logger(__name__)


def follow_change(edge: Edge) -> RelationChange:
    """A follow, or its end, as caches are told of it."""
    return RelationChange(
        user_id=edge.pair.follower_id.bytes,
        other_id=edge.pair.followee_id.bytes,
        relation=RELATION_FOLLOW,
        set=edge.following,
        version=edge.version,
    )


def stance_change(stance: Stance) -> RelationChange:
    """A block or mute, or its end, as caches are told of it."""
    return RelationChange(
        user_id=stance.user_id.bytes,
        other_id=stance.other_id.bytes,
        relation=stance.relation,
        set=stance.stands,
        version=stance.version,
        until_ms=stance.until_ms,
    )


async def tell(changes: Sequence[RelationChange], deps: Deps) -> None:
    """Tell the caches of all processes. What hides something is known to all of them when this returns, or they know nothing.

    Raises Unavailable when nobody could be told of what hides something for too long; the change stands.
    """
    if not changes:
        return
    if any(map(_hides, changes)):
        await deps.signals.tell(changes=changes)
        return
    try:
        async with asyncio.timeout(TOLD_WITHIN_S):
            await deps.signals.tell(changes=changes)
    except (TimeoutError, Unavailable):
        # It was counted, so the next heartbeat shows the gap, and caches ask.
        log.info("relation_told_late", changes=len(changes))


async def show_own(versions: Mapping[uuid.UUID, int], deps: Deps, follows: Iterable[OwnWrite] = ()) -> None:
    """Let the accounts' own next reads see what they changed up to these versions, and these follows counted."""
    newest = [(user_id.bytes, GRAPH_VERSION, version.to_bytes(8)) for user_id, version in versions.items()]
    await deps.recent.record_all([*follows, *newest])


def newest_of(*versions: Mapping[uuid.UUID, int]) -> dict[uuid.UUID, int]:
    """The greatest version of each account."""
    found: dict[uuid.UUID, int] = {}
    for some in versions:
        for user_id, version in some.items():
            found[user_id] = max(version, found.get(user_id, 0))
    return found


async def settled(
    written: Mapping[uuid.UUID, int], deps: Deps, blocked: Iterable[uuid.UUID] = ()
) -> dict[uuid.UUID, int]:
    """The versions that accounts' snapshots must have to hold what was just stored, in these versions, and of who blocks `blocked`.

    A later version may have been stored before, by another process, and whoever read it since believes to have everything up to it.
    Or the version is so old that a state may have been named by it meanwhile: what was stored is a first try's, or the end of a
    follow. Then the version is raised to now, so that it is another state, and one that nobody names for a while.
    """
    blocked = list(blocked)
    now_us, newest = deps.clock.now_us(), max(written.values(), default=0)
    own, stored = await asyncio.gather(deps.store.versions(written), deps.store.viewer_versions(blocked))
    raised = {
        user_id: max(now_us, version + 1)
        for user_id, version in own.items()
        if version > written[user_id] or may_be_named(version, now_us)
    }
    seen = {user_id: stored[user_id].blocked_by for user_id in blocked}
    blocked_raised = {
        user_id: max(now_us, version + 1)
        for user_id, version in seen.items()
        if version > newest or may_be_named(version, now_us)
    }
    if raised or blocked_raised:
        await deps.store.raise_versions(raised, blocked_raised)
    return {**written, **raised}


async def settle_late(version: int, user_id: uuid.UUID, blocked: Iterable[uuid.UUID], deps: Deps) -> None:
    """Let no state go on that was named before a change arrived which was stored late, when nobody waited for it any more.

    Whoever stored it, and died, or answered that nobody knows whether it stands, raised no version.
    """
    if may_be_named(version, deps.clock.now_us()):
        await settled({user_id: version}, deps, blocked)


def _hides(change: RelationChange) -> bool:
    return change.set == (change.relation != RELATION_FOLLOW)
