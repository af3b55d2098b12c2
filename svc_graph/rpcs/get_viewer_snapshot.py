"""GetViewerSnapshot: how a viewer stands to everybody, for caches of readers."""

import uuid
from collections.abc import Iterable

from aviary.graph.v1.graph_pb2 import GetViewerSnapshotRequest, GetViewerSnapshotResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.stances import is_current, packed_state


async def get_viewer_snapshot(request: GetViewerSnapshotRequest, _: Caller, deps: Deps) -> GetViewerSnapshotResponse:
    """All four sets with the name of their state; or, to who knows that state, only that nothing changed."""
    viewer, now_ms = uuid.UUID(bytes=request.user_id), deps.clock.now_ms()
    # Read before the sets: whatever changes meanwhile is in the sets, perhaps, and makes another state in any case.
    versions = await deps.store.viewer_versions(viewer)
    if is_current(request.known, versions, now_ms):
        return GetViewerSnapshotResponse(unchanged=True)
    ties = await deps.store.ties(viewer)
    void = {*ties.blocked_ids, *ties.blocked_by_ids}
    if ties.more_blocked_by:
        void.update(await deps.store.blockers_among(viewer, ties.followee_ids))
    mutes = [mute for mute in ties.mutes if mute.holds(now_ms)]
    return GetViewerSnapshotResponse(
        state=packed_state(versions, now_ms),
        version=versions.own,
        followee_ids=_packed(followee for followee in ties.followee_ids if followee not in void),
        blocked_ids=_packed(ties.blocked_ids),
        muted_ids=_packed(mute.other_id for mute in mutes),
        muted_until_ms=[mute.until_ms for mute in mutes],
        blocked_by_ids=_packed(ties.blocked_by_ids),
        more_blocked_by=ties.more_blocked_by,
    )


def _packed(ids: Iterable[uuid.UUID]) -> bytes:
    return b"".join(one.bytes for one in ids)
