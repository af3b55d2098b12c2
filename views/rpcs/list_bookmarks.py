"""ListBookmarks: the caller's bookmarks."""

from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views import feeds
from views.deps import Deps
from views.items import Query
from views.present import bookmarks_page


async def list_bookmarks(
    request: view_pb2.ListBookmarksRequest, caller: Caller, deps: Deps
) -> view_pb2.ListBookmarksResponse:
    """Tweets that the caller may see, latest bookmark first. Fails with INVALID_CURSOR."""
    query = Query(caller.user_id, caller.user_id, request.limit, cursor=request.cursor)
    return bookmarks_page(await feeds.bookmarks(deps).run(query))
