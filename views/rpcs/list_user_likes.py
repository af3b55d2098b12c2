"""ListUserLikes: the tweets that an account likes."""

from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views import feeds
from views.accounts import is_shown
from views.deps import Deps
from views.ids import raw_id
from views.items import NO_PAGE, Query
from views.present import likes_page


async def list_user_likes(
    request: view_pb2.ListUserLikesRequest, caller: Caller, deps: Deps
) -> view_pb2.ListUserLikesResponse:
    """Tweets that the caller may see, latest like first; none of who is hidden. Fails with USER_NOT_FOUND, INVALID_CURSOR."""
    query = Query(caller.user_id, raw_id(request.user_id), request.limit, cursor=request.cursor)
    if not await is_shown(request.user_id, caller, deps):
        return likes_page(NO_PAGE)
    return likes_page(await feeds.likes(deps).run(query))
