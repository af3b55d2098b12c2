"""ListUserLikes: the tweets that an account likes."""

import asyncio

from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views import feeds
from views.accounts import find_account
from views.deps import Deps
from views.ids import raw_id
from views.items import Query
from views.present import likes_page


async def list_user_likes(
    request: view_pb2.ListUserLikesRequest, caller: Caller, deps: Deps
) -> view_pb2.ListUserLikesResponse:
    """Tweets that the caller may see, latest like first. Fails with USER_NOT_FOUND, INVALID_CURSOR."""
    query = Query(caller.user_id, raw_id(request.user_id), request.limit, cursor=request.cursor)
    async with asyncio.TaskGroup() as group:
        group.create_task(find_account(request.user_id, deps))
        paging = group.create_task(feeds.likes(deps).run(query))
    return likes_page(paging.result())
