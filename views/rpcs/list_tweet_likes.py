"""ListTweetLikes: who likes a tweet."""

import asyncio
from dataclasses import replace

from aviary.engage.v1 import engage_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from runtime.ids import split_ids
from views.accounts import find_people
from views.deps import Deps
from views.errors import TweetNotFound
from views.hydrate import hydrate_named
from views.ids import raw_id, text_id
from views.present import user_short
from views.recent import Recent, with_own_writes
from views.rules import NAMED_RULES, shown_people, visible


async def list_tweet_likes(
    request: view_pb2.ListTweetLikesRequest, caller: Caller, deps: Deps
) -> view_pb2.ListTweetLikesResponse:
    """People whom the caller may see, latest like first. Fails with TWEET_NOT_FOUND, INVALID_CURSOR."""
    key = raw_id(request.tweet_id)
    async with asyncio.TaskGroup() as group:
        ensuring = group.create_task(_ensure_visible(key, caller, deps))
        listing = group.create_task(_likers(key, request, deps))
    page, recent = listing.result(), ensuring.result()
    ids = split_ids(page.user_ids)
    users, sight = await find_people(ids, caller, deps, recent)
    return view_pb2.ListTweetLikesResponse(
        users=[user_short(liker.user) for liker in shown_people(ids, users, sight, muted=False)],
        next_cursor=page.next_cursor or None,
        has_more=bool(page.next_cursor),
    )


async def _ensure_visible(key: bytes, caller: Caller, deps: Deps) -> Recent:
    """What the caller did to others lately, to whom the tweet is shown all the same."""
    async with asyncio.TaskGroup() as group:
        loading = group.create_task(hydrate_named(caller.user_id, [key], deps))
        remembering = group.create_task(deps.engagement.recent(caller.user_id))
    (items, state), recent = loading.result(), remembering.result()
    authors = {item.author_id for item in items}
    sight = await with_own_writes(state.sight, recent, caller.user_id, authors, deps.relations)
    if not visible(items, replace(state, sight=sight), NAMED_RULES):
        raise TweetNotFound("no such tweet", tweet_id=text_id(key))
    return recent


async def _likers(key: bytes, request: view_pb2.ListTweetLikesRequest, deps: Deps) -> engage_pb2.ListLikersResponse:
    return await deps.engage.ListLikers(
        engage_pb2.ListLikersRequest(tweet_id=key, cursor=request.cursor, limit=request.limit)
    )
