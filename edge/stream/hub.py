"""Takes signals of the mesh to the sockets of this process: one subscription for all of them, one rendering for each tweet."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator

from aviary.timeline.v1 import events_pb2
from aviary.view.v1 import view_pb2
from prometheus_client import Counter, Gauge

from edge.stream.catchup import CatchUp
from edge.stream.messages import tweet_deleted
from edge.stream.socket import Socket
from edge.stream.tasks import Tasks
from runtime import telemetry
from runtime.context import NOBODY, acting
from runtime.ids import Clock, ms_of, split_ids
from views.deps import Deps
from views.ids import text_id
from views.items import Item
from views.live import Known, LiveTweet, as_seen_by, concerned, is_concerned, load_live, may_see, shown_to

_TWEETS_AT_ONCE = 64
_READERS_AT_ONCE = 64
_LOAD_WITHIN_S = 5.0
_PUBLISHERS = 1_000
UNTOUCHED_FOR_MS = 5_000
"""A tweet that arrives within this time is sent as nobody's: its readers see it for the first time, and share one rendering."""

SOCKETS = Gauge("aviary_edge_sockets", "Open streams.")
LIVE = Counter("aviary_edge_live_total", "Signals of new tweets, by what became of them.", ["outcome"])

log = telemetry.logger(__name__)


class Hub:
    """Knows the sockets of every reader, and which signals were lost."""

    def __init__(
        self, views: Deps, render: Callable[[view_pb2.Tweet], bytes], catch_up: CatchUp, tasks: Tasks, clock: Clock
    ) -> None:
        self._views = views
        self._render = render
        self._catch_up = catch_up
        self._tasks = tasks
        self._clock = clock
        self._sockets: dict[bytes, set[Socket]] = {}
        self._publishers: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._started_ms = clock.now_ms()
        self._linked_ms = self._started_ms
        self._latest: dict[bytes, asyncio.Task[None]] = {}
        self._tweets = asyncio.Semaphore(_TWEETS_AT_ONCE)
        self._readers = asyncio.Semaphore(_READERS_AT_ONCE)

    def __iter__(self) -> Iterator[Socket]:
        """Every socket."""
        return iter([socket for sockets in self._sockets.values() for socket in sockets])

    def add(self, socket: Socket) -> None:
        """From now on the socket gets what its reader should see."""
        self._sockets.setdefault(socket.viewer, set()).add(socket)
        SOCKETS.inc()

    def remove(self, socket: Socket) -> None:
        """The socket is gone."""
        sockets = self._sockets.get(socket.viewer, set())
        if socket in sockets:
            sockets.remove(socket)
            SOCKETS.dec()
            if not sockets:
                del self._sockets[socket.viewer]

    async def heard(self, signal: events_pb2.HomeSignal) -> None:
        """A tweet reached homes of readers who are connected here. Waits while too many are being worked on."""
        self._count(signal)
        readers = [r for r in split_ids(signal.reader_ids) if r in self._sockets]
        if not readers:
            LIVE.labels("nobody").inc()
            return
        await self._tweets.acquire()
        # What one author posts quickly is loaded at once and sent in order.
        before = self._latest.get(signal.author_id)
        task = self._tasks.spawn(self._deliver(Item(signal.tweet_id, signal.author_id), readers, before))
        self._latest[signal.author_id] = task
        task.add_done_callback(lambda done: self._forget(signal.author_id, done))

    def deleted(self, tweet_id: bytes, author_id: bytes) -> None:
        """A tweet was deleted: tell who could have it on the screen."""
        if self._sockets:
            self._tasks.spawn(self._tell_deleted(tweet_id, author_id))

    def deletions_lost(self) -> None:
        """A deletion may have gone unheard; what is on the screens cannot be checked from here."""
        for socket in self:
            socket.gap()

    def still_linked(self) -> None:
        """Called from time to time while signals arrive: after a broken link, lost ones are younger than this."""
        if self._views.statuses.epoch() is not None:
            self._linked_ms = self._clock.now_ms()

    def link_restored(self) -> None:
        """The link to the bus was broken and is there again: signals between were lost."""
        self.missed(list(self._sockets), self._linked_ms)

    def missed(self, viewers: Collection[bytes], since_ms: int) -> None:
        """Signals to these readers were lost since then: bring their sockets up to date."""
        log.warning("signals_missed", readers=len(viewers))
        for viewer in viewers:
            for socket in self._sockets.get(viewer, ()):
                self._catch_up.start(socket, since_ms)

    def _count(self, signal: events_pb2.HomeSignal) -> None:
        """Notice that signals of this publisher to this edge are missing."""
        before, heard_ms = self._publishers.get(signal.publisher_id, (0, self._started_ms))
        self._publishers[signal.publisher_id] = (max(before, signal.sequence), self._clock.now_ms())
        self._publishers.move_to_end(signal.publisher_id)
        if len(self._publishers) > _PUBLISHERS:
            # Publishers are new at each start of their process; one that is not gone after all counts as a gap.
            self._publishers.popitem(last=False)
        if signal.sequence > before + 1:
            LIVE.labels("gap").inc()
            self.missed(list(self._sockets), heard_ms)

    async def _deliver(self, item: Item, readers: list[bytes], before: asyncio.Task[None] | None) -> None:
        try:
            with acting(NOBODY, _LOAD_WITHIN_S):
                tweet = await load_live(item, self._views)
                if tweet is None:
                    LIVE.labels("hidden").inc()
                    return
                fresh = self._clock.now_ms() - ms_of(item.tweet_id) < UNTOUCHED_FOR_MS
                data = self._render(tweet.view)
                if before is not None:
                    await asyncio.wait([before])
                known = shown_to(tweet, readers, self._views) if fresh else Known([], readers)
                self._send(tweet, known.meant, data)
                if known.ask:
                    own = data if fresh else None
                    await asyncio.gather(*(self._ask_and_send(tweet, viewer, own) for viewer in known.ask))
            LIVE.labels("sent").inc()
        except Exception as error:  # whatever failed, these readers miss a tweet that their homes have
            LIVE.labels("failed").inc()
            log.warning("live_failed", error=repr(error))
            self.missed(readers, self._clock.now_ms())
        finally:
            self._tweets.release()

    def _send(self, tweet: LiveTweet, viewers: Iterable[bytes], data: bytes) -> None:
        for viewer in viewers:
            for socket in list(self._sockets.get(viewer, ())):
                socket.tweet(tweet.item.tweet_id, data)

    async def _ask_and_send(self, tweet: LiveTweet, viewer: bytes, data: bytes | None) -> None:
        """Send to one reader; without `data` as that reader sees it, who may have liked it before it came by."""
        async with self._readers:
            if data is None:
                data = self._render(await as_seen_by(tweet, viewer, self._views))
            if await may_see(tweet, viewer, self._views):
                self._send(tweet, [viewer], data)

    async def _tell_deleted(self, tweet_id: bytes, author_id: bytes) -> None:
        data = tweet_deleted(text_id(tweet_id))

        async def tell(viewer: bytes) -> None:
            async with self._readers:
                with acting(NOBODY, _LOAD_WITHIN_S):
                    if await is_concerned(author_id, viewer, self._views):
                        self._send_deleted(viewer, tweet_id, data)

        known = concerned(author_id, list(self._sockets), self._views)
        for viewer in known.meant:
            self._send_deleted(viewer, tweet_id, data)
        results = await asyncio.gather(*map(tell, known.ask), return_exceptions=True)
        for viewer, result in zip(known.ask, results, strict=True):
            if isinstance(result, Exception):
                for socket in self._sockets.get(viewer, ()):
                    socket.gap()

    def _send_deleted(self, viewer: bytes, tweet_id: bytes, data: bytes) -> None:
        for socket in list(self._sockets.get(viewer, ())):
            socket.tweet_deleted(tweet_id, data)

    def _forget(self, author_id: bytes, task: asyncio.Task[None]) -> None:
        if self._latest.get(author_id) is task:
            del self._latest[author_id]
