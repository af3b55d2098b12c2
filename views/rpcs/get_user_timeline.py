"""GetUserTimeline: the tweets of one author, newest first."""

import asyncio

from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views import feeds
from views.accounts import find_account
from views.deps import Deps
from views.ids import raw_id
from views.items import Query
from views.present import author_page


async def get_user_timeline(
    request: view_pb2.GetUserTimelineRequest, caller: Caller, deps: Deps
) -> view_pb2.GetUserTimelineResponse:
    """A page of the author's timeline. Fails with USER_NOT_FOUND."""
    author = raw_id(request.user_id)
    query = Query(caller.user_id, author, request.limit, raw_id(request.max_id), raw_id(request.since_id))
    async with asyncio.TaskGroup() as group:
        group.create_task(find_account(request.user_id, deps))
        paging = group.create_task(feeds.author_timeline(deps).run(query))
    return author_page(paging.result())
