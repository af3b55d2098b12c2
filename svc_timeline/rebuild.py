"""Builds windows from the store, one build of a home at a time; pages are answered without waiting for it."""

import asyncio

from aviary.tweet.v1.tweet_pb2 import ListAuthorTweetsRequest
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub
from grpc import aio

from runtime.context import Caller, acting
from runtime.errors import ServiceError
from runtime.faults import Faults
from runtime.ids import Clock, Ids, ms_of, split_ids
from runtime.telemetry import logger
from svc_timeline import metrics
from svc_timeline.config import Limits
from svc_timeline.domain import NO_ID, Entry, merged, span_asked
from svc_timeline.store import HomeStore
from svc_timeline.windows import EVERYTHING, Windows

# Readers who return all at once read the store for their pages; so many of them at a time get windows again.
_AT_ONCE = 16
_WAITING = 512
_TIME_S = 10.0
_ATTEMPTS = 5
# Own tweets whose fan-out may still be under way when the cache is lost.
_OWN_HEAD = 200
_FAN_OUT_LATE_MS = 24 * 3600 * 1000

log = logger(__name__)


class Rebuilds:
    """The builds under way in this process."""

    def __init__(
        self,
        windows: Windows,
        store: HomeStore,
        tweet: TweetServiceAsyncStub,
        *,
        limits: Limits,
        clock: Clock,
        ids: Ids,
        faults: Faults,
    ) -> None:
        self._windows = windows
        self._store = store
        self._tweet = tweet
        self._limits = limits
        self._clock = clock
        self._ids = ids
        self._faults = faults
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._free = asyncio.Semaphore(_AT_ONCE)

    def start(self, user_id: bytes) -> None:
        """Build the window of a home behind the caller's back, unless that is under way or too many are waiting."""
        if user_id in self._running or len(self._running) >= _WAITING:
            return
        task = asyncio.create_task(self._run(user_id))
        self._running[user_id] = task
        task.add_done_callback(lambda _: self._running.pop(user_id, None))

    async def settle(self) -> None:
        """Wait until every build has ended."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def close(self) -> None:
        """Stop. A build that is cut off is taken over by another process after some seconds."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def build(self, user_id: bytes) -> str:
        """Build the window of a home now. Answers how it ended: built, not_needed, or overtaken by a change of the window.

        Pushes are kept from the mark on, and the store is read after it: whatever is stored is in one of the two.
        """
        token = self._ids.next().bytes
        if not await self._windows.mark_building(user_id, token):
            return "not_needed"
        self._faults.at("timeline.rebuild.after_mark")
        entries, floor = await self._stored(user_id)
        self._faults.at("timeline.rebuild.after_read")
        for _ in range(_ATTEMPTS):
            window = (await self._windows.look(user_id, EVERYTHING)).window
            if window is None or window.ready or window.token != token:
                return "overtaken"
            together, new_floor = merged(window, entries, floor, self._limits.window)
            if await self._windows.replace(user_id, window, together, new_floor, ready=True):
                self._faults.at("timeline.rebuild.after_merge")
                return "built"
        return "overtaken"

    async def _stored(self, user_id: bytes) -> tuple[list[Entry], bytes]:
        """The newest stored entries with the user's own newest tweets, and the greatest id that may be missing among them.

        The own tweets are there because what was remembered of own writes is lost with the window, and a rebuilt window is
        believed to hold them. Those whose fan-out may still be under way are stored first: the store has what lies below the
        floor, and what the window drops later.
        """
        span = span_asked(b"", b"", self._clock.now_ms(), self._limits.depth_ms)
        capacity = self._limits.window
        own_head = ListAuthorTweetsRequest(author_id=user_id, limit=_OWN_HEAD)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._store.read(user_id, span, capacity + 1))
            asking = group.create_task(self._own_tweets(own_head))
        stored = reading.result()
        floor = stored[capacity].entry_id if len(stored) > capacity else NO_ID
        known = {entry.entry_id for entry in stored}
        own = [Entry(tweet_id, user_id) for tweet_id in asking.result() if tweet_id not in known]
        late = [entry for entry in own if self._clock.now_ms() - ms_of(entry.entry_id) < _FAN_OUT_LATE_MS]
        if late:
            await self._store.add([user_id], late)
        return [*stored, *own], floor

    async def _own_tweets(self, request: ListAuthorTweetsRequest) -> list[bytes]:
        return split_ids((await self._tweet.ListAuthorTweets(request)).tweet_ids)

    async def _run(self, user_id: bytes) -> None:
        outcome = "failed"
        # The page's own deadline must not end the build.
        with acting(Caller(), _TIME_S):
            try:
                async with self._free, asyncio.timeout(_TIME_S):
                    outcome = await self.build(user_id)
            except* (ServiceError, aio.AioRpcError, TimeoutError) as failed:
                log.warning("rebuild_failed", user_id=user_id.hex(), error=str(failed.exceptions[0]))
            finally:
                metrics.REBUILDS.labels(outcome).inc()
