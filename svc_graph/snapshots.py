"""A viewer's snapshot: read row by row, or as it was kept packed under the name of its state; what a state is, is in stances.py."""

import asyncio
import uuid
from collections.abc import Iterable

from aviary.graph.v1.graph_pb2 import GetViewerSnapshotResponse

from runtime import telemetry
from runtime.errors import Unavailable
from svc_graph.deps import Deps
from svc_graph.metrics import SNAPSHOTS
from svc_graph.stances import ViewerVersions, is_current, named_state

KEPT_BYTES = range(100 * 16, (1 << 20) + 1)
"""Smaller ones are read as quickly row by row; larger ones are nobody's, nearly."""
KEPT_WITHIN_S = 0.05
"""For so long an answer waits for its snapshot to be kept."""

log = telemetry.logger(__name__)


async def snapshot_of(viewer: uuid.UUID, deps: Deps) -> GetViewerSnapshotResponse:
    """All four sets with the name of their state.

    A kept one is served under the state that its viewer has now: then it is what reading the rows would give, but for what nobody
    answered. The state is asked for by each call, in the same step.
    """
    kept = await deps.store.kept_snapshot(viewer)
    if kept.snapshot:
        snapshot = GetViewerSnapshotResponse.FromString(kept.snapshot)
        if is_current(snapshot.state, kept.versions, deps.clock.now_ms()):
            SNAPSHOTS.labels("kept").inc()
            return snapshot
    SNAPSHOTS.labels("read").inc()
    snapshot = await _read(viewer, kept.versions, deps)
    if snapshot.state:
        await _keep(viewer, snapshot.SerializeToString(), deps)
    return snapshot


async def _read(viewer: uuid.UUID, versions: ViewerVersions, deps: Deps) -> GetViewerSnapshotResponse:
    # The versions were read before the sets: whatever changes meanwhile is in the sets, perhaps, and makes another state in any case.
    state = named_state(versions, deps.clock.now_us())
    ties = await deps.store.ties(viewer)
    void = {*ties.blocked_ids, *ties.blocked_by_ids}
    if ties.more_blocked_by:
        void.update(await deps.store.blockers_among(viewer, ties.followee_ids))
    now_ms = deps.clock.now_ms()
    mutes = [mute for mute in ties.mutes if mute.holds(now_ms)]
    return GetViewerSnapshotResponse(
        state=state,
        version=versions.own,
        followee_ids=_packed(followee for followee in ties.followee_ids if followee not in void),
        blocked_ids=_packed(ties.blocked_ids),
        muted_ids=_packed(mute.other_id for mute in mutes),
        muted_until_ms=[mute.until_ms for mute in mutes],
        blocked_by_ids=_packed(ties.blocked_by_ids),
        more_blocked_by=ties.more_blocked_by,
    )


async def _keep(viewer: uuid.UUID, snapshot: bytes, deps: Deps) -> None:
    if len(snapshot) not in KEPT_BYTES:
        return
    try:
        async with asyncio.timeout(KEPT_WITHIN_S):
            await deps.store.keep_snapshot(viewer, snapshot)
    except (TimeoutError, Unavailable):
        log.info("snapshot_not_kept", size=len(snapshot))


def _packed(ids: Iterable[uuid.UUID]) -> bytes:
    return b"".join([one.bytes for one in ids])
