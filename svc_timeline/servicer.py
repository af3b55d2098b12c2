"""Table of contents of TimelineService: each rpc and the function that answers it."""

from aviary.timeline.v1 import timeline_pb2 as pb
from aviary.timeline.v1.timeline_pb2_grpc import TimelineServiceServicer

from runtime.context import current_caller
from svc_timeline.deps import Deps
from svc_timeline.rpcs.get_home import get_home


class TimelineServicer(TimelineServiceServicer):
    """Serves TimelineService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def GetHome(self, request: pb.GetHomeRequest, context: object) -> pb.GetHomeResponse:
        """See rpcs/get_home.py."""
        return await get_home(request, current_caller(), self._deps)
