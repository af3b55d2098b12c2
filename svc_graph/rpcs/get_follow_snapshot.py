"""GetFollowSnapshot: whom one account follows, whole, for caches of readers."""

import uuid

from aviary.graph.v1.graph_pb2 import GetFollowSnapshotRequest, GetFollowSnapshotResponse

from runtime.context import Caller
from svc_graph.deps import Deps


async def get_follow_snapshot(request: GetFollowSnapshotRequest, _: Caller, deps: Deps) -> GetFollowSnapshotResponse:
    """All that the account follows, packed, and the version up to which no change is missing."""
    snapshot = await deps.store.snapshot(uuid.UUID(bytes=request.user_id))
    packed = b"".join(followee_id.bytes for followee_id in snapshot.followee_ids)
    return GetFollowSnapshotResponse(followee_ids=packed, version=snapshot.version)
