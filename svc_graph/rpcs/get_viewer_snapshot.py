"""GetViewerSnapshot: how a viewer stands to everybody, for caches of readers."""

import uuid

from aviary.graph.v1.graph_pb2 import GetViewerSnapshotRequest, GetViewerSnapshotResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.snapshots import snapshot_of


async def get_viewer_snapshot(request: GetViewerSnapshotRequest, _: Caller, deps: Deps) -> GetViewerSnapshotResponse:
    """All four sets with the name of their state."""
    return await snapshot_of(uuid.UUID(bytes=request.user_id), deps)
