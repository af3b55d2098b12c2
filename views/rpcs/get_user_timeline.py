"""GetUserTimeline: the tweets of one author, newest first."""

from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views import feeds
from views.accounts import is_shown
from views.deps import Deps
from views.ids import raw_id
from views.items import NO_PAGE, Query
from views.present import author_page


async def get_user_timeline(
    request: view_pb2.GetUserTimelineRequest, caller: Caller, deps: Deps
) -> view_pb2.GetUserTimelineResponse:
    """A page of the author's timeline; empty where the author is hidden from the caller. Fails with USER_NOT_FOUND."""
    author = raw_id(request.user_id)
    query = Query(caller.user_id, author, request.limit, raw_id(request.max_id), raw_id(request.since_id))
    if not await is_shown(request.user_id, caller, deps):
        return author_page(NO_PAGE)
    return author_page(await feeds.author_timeline(deps).run(query))
