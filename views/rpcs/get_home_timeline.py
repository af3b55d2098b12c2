"""GetHomeTimeline: what the caller follows, newest first."""

from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views import feeds
from views.deps import Deps
from views.ids import raw_id
from views.items import Query
from views.present import home_page


async def get_home_timeline(
    request: view_pb2.GetHomeTimelineRequest, caller: Caller, deps: Deps
) -> view_pb2.GetHomeTimelineResponse:
    """A page of the caller's home: one rpc when everything is warm."""
    query = Query(caller.user_id, caller.user_id, request.limit, raw_id(request.max_id), raw_id(request.since_id))
    return home_page(await feeds.home(deps).run(query))
