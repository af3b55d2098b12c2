"""CompareSnapshots: which snapshots of viewers are still so."""

import uuid

from aviary.graph.v1.graph_pb2 import CompareSnapshotsRequest, CompareSnapshotsResponse

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.stances import is_current


async def compare_snapshots(request: CompareSnapshotsRequest, _: Caller, deps: Deps) -> CompareSnapshotsResponse:
    """Those that lack nothing that was answered before. However many are asked for, the store is asked as often as for one."""
    viewers = {known.user_id: uuid.UUID(bytes=known.user_id) for known in request.known}
    versions = await deps.store.viewer_versions(viewers.values())
    now_ms = deps.clock.now_ms()
    current = [known for known in request.known if is_current(known.state, versions[viewers[known.user_id]], now_ms)]
    return CompareSnapshotsResponse(unchanged=current)
