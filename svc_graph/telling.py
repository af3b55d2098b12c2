"""How everybody is told of a change before it is answered: the actor's own reads, and the caches of all processes."""

import asyncio
import uuid
from collections.abc import Iterable, Mapping, Sequence

from aviary.graph.v1.events_pb2 import RELATION_FOLLOW, RelationChange

from readers.recent import GRAPH_VERSION
from runtime import telemetry
from runtime.errors import Unavailable
from svc_graph.deps import Deps
from svc_graph.domain import Edge
from svc_graph.stances import Stance

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


async def show_own(versions: Mapping[uuid.UUID, int], deps: Deps) -> None:
    """Let the accounts' own next reads see what they changed up to these versions."""
    async with asyncio.TaskGroup() as records:
        for user_id, version in versions.items():
            records.create_task(deps.recent.record(user_id.bytes, GRAPH_VERSION, version.to_bytes(8)))


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

    A later version may have been stored before, by another process: whoever read it since believes to have everything up to it.
    Then the version is raised once more, so that it is another state.
    """
    blocked = list(blocked)
    async with asyncio.TaskGroup() as reads:
        own = reads.create_task(deps.store.versions(written))
        changed = [reads.create_task(deps.store.viewer_versions(user_id)) for user_id in blocked]
    newest = max(written.values(), default=0)
    raised = {user_id: stored + 1 for user_id, stored in own.result().items() if stored > written[user_id]}
    seen = {user_id: read.result().blocked_by for user_id, read in zip(blocked, changed, strict=True)}
    blocked_raised = {user_id: stored + 1 for user_id, stored in seen.items() if stored > newest}
    if raised or blocked_raised:
        await deps.store.raise_versions(raised, blocked_raised)
    return {**written, **raised}


def _hides(change: RelationChange) -> bool:
    return change.set == (change.relation != RELATION_FOLLOW)
