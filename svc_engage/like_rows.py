"""The rows of likes, written behind the answer: a like that stands in the log counts, whoever comes to write its rows."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from flights.gathering import Gathering
from readers.recent import LIKE, OwnLike, OwnWrites
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
_WAIT_S = 0.8
_AGAIN_S = 1.0
_RECORDED_S = 20.0
_CLOSING_S = 5.0

log = logger(__name__)


@dataclass(slots=True, eq=False)
class _Writing:
    """A like whose rows are on their way."""

    setting: LikeSetting
    task: "asyncio.Task[None] | None" = None
    answered: OwnLike | None = None
    """As its user's reads know of it, once it was answered."""


class LikeRows:
    """Writes the rows of likes that were announced, and knows which are on their way in this process.

    Who reads rows of a user's likes waits for those first (`of`), and so sees what this process answered. The rows of an answered
    like are written until they are stored. Those of a process that died the owner of the partition writes, and so it does those of
    a like that was not answered because they could not be stored in the store's time, or that met a mistake of ours, which is logged.
    """

    def __init__(
        self, store: EngageStore, cache: CountCache, recent: OwnWrites, known: KnownRows, faults: Faults
    ) -> None:
        self._store = store
        self._cache = cache
        self._recent = recent
        self._groups: Gathering[LikeSetting, None] = Gathering(self._go, LIKES_TOGETHER, _GROUPS, every_s=_EVERY_S)
        self._known = known
        self._faults = faults
        self._writing: dict[bytes, dict[tuple[bytes, int], _Writing]] = {}
        self._count = 0
        self._failing = False

    async def write(self, like: LikeState, before: Mark, delta: int, own: OwnLike, known: bool) -> None:
        """Begin to write the rows of a like that stands in the log, and return when its user's reads show it.

        That is at once if they know of it (`known`), unless the last rows could not be written or too many are on their way: then,
        as without that, when the rows are stored. Raises Unavailable when they are not, in the store's time.
        """
        writing = _Writing(LikeSetting(like, before, delta))
        with acting(NOBODY):
            writing.task = asyncio.get_running_loop().create_task(self._write(writing))
        self._writing.setdefault(like.user_id, {})[like.tweet_id, like.at] = writing
        self._count += 1
        writing.task.add_done_callback(lambda done: self._written(like, done))
        if known and not self._failing and self._count <= BEHIND_MOST:
            writing.answered = own
        else:
            # The rows are written also when whoever waits is gone.
            await asyncio.shield(writing.task)

    async def of(self, user_id: bytes) -> None:
        """Return when the rows of the user's likes that are on their way now are stored. Raises Unavailable when it takes long."""
        if tasks := [one.task for one in self._writing.get(user_id, {}).values() if one.task is not None]:
            _, waiting = await asyncio.wait(tasks, timeout=_WAIT_S)
            if waiting:
                raise Unavailable("what was liked a moment ago is not stored yet", retry_after_s=1)

    def mark(self, tweet_id: bytes, user_id: bytes, at: int) -> Mark | None:
        """The mark of a like whose state was set at a place, 0: never. None when it has to be read."""
        writing = self._writing.get(user_id, {}).get((tweet_id, at))
        if writing is not None:
            return next((mark for _, mark in marks_of([writing.setting])), None)
        return self._known.mark(tweet_id, user_id, at)

    def has_written(self, tweet_id: bytes, user_id: bytes, at: int) -> bool:
        """Whether this process knows that the rows of a like that was set at a place are stored."""
        return self._known.mark(tweet_id, user_id, at) is not None

    async def close(self) -> None:
        """Write what is on its way; what takes longer than 5 s the owner writes."""
        tasks = [one.task for some in self._writing.values() for one in some.values() if one.task is not None]
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_CLOSING_S)
            for task in left:
                task.cancel()

    async def _write(self, writing: _Writing) -> None:
        loop = asyncio.get_running_loop()
        recorded = loop.time()
        while True:
            try:
                await self._groups.of(writing.setting)
            except Unavailable:
                self._failing = True
                if writing.answered is None:
                    raise
            else:
                self._failing = False
                return
            await asyncio.sleep(_AGAIN_S)
            if loop.time() - recorded > _RECORDED_S:
                # Its user's reads know it from there alone, for a minute.
                await self._recent.record(writing.setting.like.user_id, LIKE, writing.answered.packed())
                recorded = loop.time()

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
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            return
        metrics.ROWS_LEFT.inc()
        if error is None or isinstance(error, Unavailable):
            log.warning("like_rows_left", place=like.at, error=str(error or "the process stops"))
        else:
            log.error("like_rows_failed", place=like.at, exc_info=error)
