"""GetHome: the ids of one page of a home, from window, store and the reader's own writes; what may be shown, views decide."""

import asyncio

from aviary.timeline.v1.timeline_pb2 import GetHomeRequest, GetHomeResponse
from aviary.tweet.v1.tweet_pb2 import ListAuthorTweetsRequest

from runtime.context import Caller
from runtime.ids import split_ids
from svc_timeline import metrics
from svc_timeline.deps import Deps
from svc_timeline.domain import LAST_ID, Entry, OwnRecent, Page, Span, page_of, preceding, span_asked
from svc_timeline.seen import noted_soon


async def get_home(request: GetHomeRequest, caller: Caller, deps: Deps) -> GetHomeResponse:
    """Newest first, each tweet once, whatever the sources. Raises Unavailable when the store is needed and away.

    Without a window the page comes from the store and, for the reader's own tweets, from their owner, while the window is
    built for the next page. The first read of a day is noted beside.
    """
    # Who looks for another reason, as an audit does, also in the name of the reader, has no login of theirs.
    is_reader = caller.user_id == request.user_id and caller.session_id
    noting = deps.seen.begin(request.user_id) if is_reader else None
    span = span_asked(request.max_id, request.since_id, deps.clock.now_ms(), deps.limits.depth_ms)
    wanted = request.limit + 1
    cached = await deps.cache.look(request.user_id, span, wanted)
    metrics.READS.labels(cached.outcome).inc()
    if cached.entries is None:
        if cached.reachable:
            deps.rebuilds.start(request.user_id)
        page = await _without_window(request.user_id, span, request.limit, deps)
    else:
        own = [Entry(tweet_id, request.user_id) for tweet_id in cached.recent.tweet_ids]
        older = await deps.store.read(request.user_id, cached.behind, wanted - len(cached.entries))
        page = page_of([*cached.entries, *older, *own], span, request.limit)
    await noted_soon(noting)
    return _answer(page, cached.recent)


async def _without_window(user_id: bytes, span: Span, limit: int, deps: Deps) -> Page:
    own_head = ListAuthorTweetsRequest(
        author_id=user_id,
        max_id=b"" if span.high == LAST_ID else span.high,
        since_id=preceding(span.low),
        limit=limit + 1,
    )
    async with asyncio.TaskGroup() as group:
        stored = group.create_task(deps.store.read(user_id, span, limit + 1))
        own = group.create_task(_own_head(own_head, deps))
    return page_of([*stored.result(), *_entries(own.result(), user_id)], span, limit)


async def _own_head(request: ListAuthorTweetsRequest, deps: Deps) -> bytes:
    return (await deps.tweet.ListAuthorTweets(request)).tweet_ids


def _entries(tweet_ids: bytes, author_id: bytes) -> list[Entry]:
    return [Entry(tweet_id, author_id) for tweet_id in split_ids(tweet_ids)]


def _answer(page: Page, recent: OwnRecent) -> GetHomeResponse:
    return GetHomeResponse(
        tweet_ids=b"".join([entry.entry_id for entry in page.entries]),
        author_ids=b"".join([entry.author_id for entry in page.entries]),
        has_more=page.has_more,
        graph_version=recent.graph_version,
        profile_version=recent.profile_version,
        deleted_ids=b"".join(recent.deleted_ids),
        recent_unknown=recent.unknown,
    )
