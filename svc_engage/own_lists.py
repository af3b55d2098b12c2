"""Before a list is read: that the rows are stored which its viewer set lately, for they are written behind answers (promise 5)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from runtime.errors import Unavailable
from svc_engage.deps import Deps
from svc_engage.domain.marks import UNMARKED, MarkKind
from svc_engage.domain.relations import NEVER, Subject

_PAUSE_S = 0.02
_PATIENCE_S = 0.8
"""Together with that of `LikeRows.of` less than the deadline of the rpcs."""

Places = dict[bytes, int]
"""By tweet, where in the log the viewer's like got its latest state."""


async def own_likes_stored(viewer_id: bytes, deps: Deps) -> None:
    """Return when the viewer's list of likes has what they liked in the last minute. Raises Unavailable when it takes long."""

    async def stored(tweets: Places) -> Places:
        marks = await deps.store.marks(viewer_id, MarkKind.LIKE, tweets)
        return {tweet_id: marks.get(tweet_id, UNMARKED).at for tweet_id in tweets}

    await _stored(viewer_id, await _lately(viewer_id, deps), stored, deps)


async def own_like_stored(viewer_id: bytes, subject: Subject, level: int, deps: Deps) -> None:
    """Return when the list of a tweet's likers has the viewer's like of the last minute. Raises Unavailable as `own_likes_stored`."""
    tweet_id = subject.subject_id

    async def stored(_: Places) -> Places:
        rows = await deps.store.rows({subject: [viewer_id]}, {subject: level})
        return {tweet_id: rows[subject].get(viewer_id, NEVER).at}

    lately = await _lately(viewer_id, deps)
    await _stored(viewer_id, {one: at for one, at in lately.items() if one == tweet_id}, stored, deps)


async def _lately(viewer_id: bytes, deps: Deps) -> Places:
    """What the viewer liked or unliked, whichever process they asked. Empty without the cache: then answers wait for their rows."""
    await deps.rows.of(viewer_id)
    try:
        return dict(await deps.cache.recent_likes(viewer_id)) if viewer_id else {}
    except Unavailable:
        return {}


async def _stored(
    viewer_id: bytes, wanted: Mapping[bytes, int], stored: Callable[[Places], Awaitable[Places]], deps: Deps
) -> None:
    lacking = {one: at for one, at in wanted.items() if not deps.rows.has_written(one, viewer_id, at)}
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while lacking:
                found = await stored(lacking)
                lacking = {one: at for one, at in lacking.items() if found[one] < at}
                if lacking:
                    # Another process writes them now. If it died, the owner of the partition does, in a moment.
                    await asyncio.sleep(_PAUSE_S)
    except TimeoutError:
        raise Unavailable("what was liked a moment ago is not in the list yet", retry_after_s=1) from None
