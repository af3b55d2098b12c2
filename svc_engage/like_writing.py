"""The rows of likes, in the order that lets anybody tell what is written; who writes them is like_rows.py and counting/flush.py."""

import asyncio
from collections.abc import Sequence

from runtime.faults import Faults
from svc_engage.cache import CountCache
from svc_engage.domain.marks import LikeSetting, MarkKind, marks_of
from svc_engage.store import EngageStore


async def write_likes(likes: Sequence[LikeSetting], store: EngageStore, cache: CountCache, faults: Faults) -> None:
    """Write the rows of at most LIKES_TOGETHER likes that stand in the log, and tell the cache. Raises Unavailable.

    The rows of `edges` come last: while they lack, the owner of the partition does all of this again. So the cache is told before,
    and behind the marks, which are read into it.
    """
    await store.list_likes(likes)
    faults.at("engage.like.after_lists")
    told = (cache.set_mark(like.user_id, MarkKind.LIKE, like.tweet_id, mark) for (like, _, _), mark in marks_of(likes))
    await asyncio.gather(*told)
    await store.state_likes(likes)
