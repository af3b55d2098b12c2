"""How often a user engaged with authors: remembered in the cache, added up from the likes in the store when it is not."""

import asyncio
import heapq
from collections.abc import Coroutine

from runtime.context import NOBODY, acting
from runtime.errors import Unavailable
from runtime.ids import Clock, Ids
from svc_engage.cache import CountCache, Interactions
from svc_engage.cache.port import AUTHORS_KEPT
from svc_engage.domain.marks import MarkKind
from svc_engage.domain.weights import weighed
from svc_engage.store import EngageStore

_LIKES = 2_000
"""Of a user's likes the latest so many say with whom they engage."""

_TIME_S = 5.0


class Engagements:
    """Reads interactions; those of one user are added up once at a time in this process."""

    def __init__(self, store: EngageStore, cache: CountCache, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock
        self._ids = ids
        self._running: dict[bytes, asyncio.Task[Interactions]] = {}

    async def of(self, user_id: bytes) -> Interactions:
        """With whom the user engaged most, at most 200 authors. Raises Unavailable when the store is needed and away."""
        reachable = True
        try:
            known = await self._cache.interactions(user_id)
        except Unavailable:
            known, reachable = None, False
        if known is not None:
            return known
        task = self._running.get(user_id)
        if task is None:
            # It belongs to nobody: others wait for it when who asked first has gone.
            with acting(NOBODY, _TIME_S):
                task = asyncio.get_running_loop().create_task(self._build(user_id, reachable))
            self._running[user_id] = task
            task.add_done_callback(lambda done: self._built(user_id, done))
        return await asyncio.shield(task)

    async def _build(self, user_id: bytes, reachable: bool) -> Interactions:
        token = self._ids.next().bytes[8:]
        if reachable:
            reachable = await self._told(self._cache.begin_interactions(user_id, token))
        likes = await self._store.list_marked(user_id, MarkKind.LIKE, None, _LIKES)
        now_ms = self._clock.now_ms()
        heaviest = heapq.nlargest(AUTHORS_KEPT, weighed(likes, now_ms).items(), key=lambda one: one[1])
        known = Interactions(now_ms, dict(heaviest))
        if reachable:
            await self._told(self._cache.fill_interactions(user_id, token, known))
        return known

    async def _told(self, telling: Coroutine[object, object, None]) -> bool:
        try:
            await telling
        except Unavailable:
            return False
        return True

    def _built(self, user_id: bytes, done: "asyncio.Task[Interactions]") -> None:
        del self._running[user_id]
        if not done.cancelled():
            # Who waits raises it; without one that is still there, asyncio would report it as forgotten.
            done.exception()
