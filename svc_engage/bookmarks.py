"""The one way in which bookmarks are set. No log orders them: their versions do, as those of follows do in svc_graph."""

import asyncio

from readers.recent import BOOKMARK, OwnBookmark
from svc_engage.deps import Deps
from svc_engage.domain.marks import Mark, MarkKind, bookmark_after


async def set_bookmark(tweet_id: bytes, user_id: bytes, author_id: bytes, present: bool, deps: Deps) -> None:
    """Bring one bookmark into a state; one that is in it already is left alone, but shown to the user's next reads.

    Raises TweetNotFound for what never was in any state, of a tweet that there is not: what once was can be removed from any tweet.
    """
    before = await deps.store.mark(user_id, MarkKind.BOOKMARK, tweet_id)
    if not before.at:
        await deps.tweets.author_of(tweet_id)
    after = before
    if before.present != present:
        after = bookmark_after(before, present, author_id, deps.clock.now_us())
        await deps.store.set_bookmark(user_id, tweet_id, before, after)
    if after.at:
        await _show(user_id, tweet_id, after, deps)


async def _show(user_id: bytes, tweet_id: bytes, mark: Mark, deps: Deps) -> None:
    async with asyncio.TaskGroup() as notes:
        notes.create_task(deps.cache.set_mark(user_id, MarkKind.BOOKMARK, tweet_id, mark))
        recent = OwnBookmark(tweet_id, mark.present, mark.at).packed()
        notes.create_task(deps.recent.record(user_id, BOOKMARK, recent))
