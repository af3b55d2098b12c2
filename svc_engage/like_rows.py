"""The rows of likes, written behind the answer: a like that stands in the log counts, whoever comes to write its rows."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from flights.gathering import Gathering
from runtime.context import NOBODY, acting
from runtime.errors import Unavailable
from runtime.faults import Faults
from runtime.telemetry import logger
from svc_engage import metrics
from svc_engage.cache import CountCache
from svc_engage.counting.known import KnownRows
from svc_engage.domain.marks import LikeSetting, LikeState, Mark, marks_of
from svc_engage.like_writing import write_likes
from svc_engage.store import LIKES_TOGETHER, EngageStore

BEHIND_MOST = 500
"""Rows of so many likes may be on their way behind answers; who comes then waits for their own."""

_GROUPS = 1
"""So many groups of likes are written at once: with a second one groups are smaller, and a like costs a twelfth more of both ends."""
_EVERY_S = 0.02
"""From one group to the next, at least: hardly anybody waits for rows, and four likes written together cost half of what one does."""
_CLOSING_S = 5.0

log = logger(__name__)


class _Writing(NamedTuple):
    """A like whose rows are on their way."""

    mark: Mark
    task: "asyncio.Task[None]"


class LikeRows:
    """Writes the rows of likes that were announced, and knows which are on their way in this process.

    Who reads rows of a user's likes waits for those first (`of`), and so sees what this process answered. Rows that cannot be
    written in the store's time are left to the owner of the partition, as those of a process that died are.
    """

    def __init__(self, store: EngageStore, cache: CountCache, known: KnownRows, faults: Faults) -> None:
        self._store = store
        self._cache = cache
        self._groups: Gathering[LikeSetting, None] = Gathering(self._go, LIKES_TOGETHER, _GROUPS, every_s=_EVERY_S)
        self._known = known
        self._faults = faults
        self._writing: dict[bytes, dict[tuple[bytes, int], _Writing]] = {}
        self._count = 0

    @property
    def crowded(self) -> bool:
        """Whether likes come faster than rows are written: then answers are to wait for them."""
        return self._count > BEHIND_MOST

    def write(self, like: LikeState, before: Mark, delta: int) -> "asyncio.Task[None]":
        """Begin to write the rows of a like that stands in the log, and then to tell the cache. The task raises Unavailable.

        It goes on when its caller is gone, so whoever waits for it shields it.
        """
        mark = like.mark(before, delta)
        with acting(NOBODY):
            task = asyncio.get_running_loop().create_task(self._write(LikeSetting(like, before, delta)))
        self._writing.setdefault(like.user_id, {})[like.tweet_id, like.at] = _Writing(mark, task)
        self._count += 1
        task.add_done_callback(lambda done: self._written(like, done))
        return task

    async def of(self, user_id: bytes) -> None:
        """Return when the rows of the user's likes that are on their way now are written, or given up."""
        if user_id in self._writing:
            await asyncio.wait([one.task for one in self._writing[user_id].values()])

    def mark(self, tweet_id: bytes, user_id: bytes, at: int) -> Mark | None:
        """The mark of a like whose state was set at a place, 0: never. None when it has to be read."""
        writing = self._writing.get(user_id, {}).get((tweet_id, at))
        return writing.mark if writing is not None else self._known.mark(tweet_id, user_id, at)

    def has_written(self, tweet_id: bytes, user_id: bytes, at: int) -> bool:
        """Whether this process knows that the rows of a like that was set at a place are stored."""
        return self._known.mark(tweet_id, user_id, at) is not None

    async def close(self) -> None:
        """Write what is on its way; what takes longer than 5 s the owner writes."""
        if tasks := [one.task for writing in self._writing.values() for one in writing.values()]:
            await asyncio.wait(tasks, timeout=_CLOSING_S)

    async def _write(self, setting: LikeSetting) -> None:
        await self._groups.of(setting)

    async def _go(self, likes: Sequence[LikeSetting]) -> dict[LikeSetting, None]:
        await write_likes(likes, self._store, self._cache, self._faults)
        for (like, _, _), mark in marks_of(likes):
            self._known.wrote(like, mark)
        self._faults.at("engage.like.after_rows")
        return {}

    def _written(self, like: LikeState, task: "asyncio.Task[None]") -> None:
        writing = self._writing[like.user_id]
        del writing[like.tweet_id, like.at]
        if not writing:
            del self._writing[like.user_id]
        self._count -= 1
        if task.cancelled() or (error := task.exception()) is None:
            return
        metrics.ROWS_LEFT.inc()
        if isinstance(error, Unavailable):
            log.warning("like_rows_left", place=like.at, error=error.detail)
        else:
            log.error("like_rows_failed", place=like.at, exc_info=error)
