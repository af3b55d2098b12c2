"""Builds what the cache remembers of users' marks from the store, one build of a user at a time; reads do not wait for it."""

import asyncio

from runtime.context import NOBODY, acting
from runtime.errors import ServiceError
from runtime.ids import Clock, Ids
from runtime.telemetry import logger
from svc_engage import metrics
from svc_engage.cache import CountCache
from svc_engage.cache.port import MARKS_KEPT
from svc_engage.domain.marks import MarkKind, year_of_ms
from svc_engage.domain.overlay import UNTOUCHED, Both, Stated
from svc_engage.store import EngageStore

# When the cache was emptied everybody reads the store; so many at a time have their marks remembered again.
_AT_ONCE = 8
_WAITING = 512
_TIME_S = 10.0
_DAY_MS = 24 * 3600 * 1000

log = logger(__name__)


class MarkBuilds:
    """The builds under way in this process."""

    def __init__(self, store: EngageStore, cache: CountCache, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock
        self._ids = ids
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._free = asyncio.Semaphore(_AT_ONCE)

    def start(self, user_id: bytes) -> None:
        """Build a user's marks behind the caller's back, unless that is under way or too many are waiting."""
        if user_id in self._running or len(self._running) >= _WAITING:
            return
        task = asyncio.get_running_loop().create_task(self._run(user_id))
        self._running[user_id] = task
        task.add_done_callback(lambda _: self._running.pop(user_id, None))

    async def close(self) -> None:
        """End the builds; what was not filled is built when it is read."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def build(self, user_id: bytes) -> bool:
        """Remember the newest marks. False when something was forgotten, or another build began, meanwhile.

        Raises Unavailable when cache or store are away.
        """
        token = self._ids.next().bytes
        await self._cache.begin_marks(user_id, token)
        # A clock that is ahead may have marked a tweet of the next year already.
        year = year_of_ms(self._clock.now_ms() + _DAY_MS)
        async with asyncio.TaskGroup() as reads:
            liking = reads.create_task(self._store.newest_marks(user_id, MarkKind.LIKE, MARKS_KEPT, year))
            bookmarking = reads.create_task(self._store.newest_marks(user_id, MarkKind.BOOKMARK, MARKS_KEPT, year))
        (likes, liked_from), (bookmarks, bookmarked_from) = liking.result(), bookmarking.result()
        floor = max(liked_from, bookmarked_from)
        states: dict[bytes, Both] = {}
        for tweet_id, mark in likes.items():
            states[tweet_id] = Both(like=Stated(mark.present, mark.at))
        for tweet_id, mark in bookmarks.items():
            states[tweet_id] = Both(states.get(tweet_id, UNTOUCHED).like, Stated(mark.present, mark.at))
        known = {tweet_id: both for tweet_id, both in states.items() if tweet_id >= floor}
        return await self._cache.fill_marks(user_id, token, known, floor)

    async def _run(self, user_id: bytes) -> None:
        outcome = "failed"
        # The page's own deadline must not end the build.
        with acting(NOBODY, _TIME_S):
            try:
                async with self._free, asyncio.timeout(_TIME_S):
                    outcome = "built" if await self.build(user_id) else "overtaken"
            except* (ServiceError, TimeoutError) as failed:
                log.warning("marks_not_built", user_id=user_id.hex(), error=str(failed.exceptions[0]))
            finally:
                metrics.MARK_BUILDS.labels(outcome).inc()
