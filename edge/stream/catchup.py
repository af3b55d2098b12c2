"""Brings a socket up to date from a time on, out of the reader's stored home: after a reconnect and after lost signals."""

import asyncio
from collections.abc import Callable

from aviary.view.v1 import view_pb2
from grpc import aio

from edge.stream.horizon import OVERLAP_MS
from edge.stream.socket import Socket
from edge.stream.tasks import Tasks
from runtime import telemetry
from runtime.context import NOBODY, acting
from runtime.ids import Clock, uuid7_of
from views.deps import Deps
from views.feeds import home
from views.ids import raw_id
from views.items import Query
from views.live import still_in_home
from views.present import frame_tweet

RESUME_WITHIN_MS = 10 * 60_000
MOST_TWEETS = 800
_PAGE = 200
_AT_ONCE = 8
_TRIES = 3
_PAUSE_S = 1.0
_READ_WITHIN_S = 5.0
_BURST = 32

log = telemetry.logger(__name__)


class CatchUp:
    """Reads the home of a socket's reader and sends what the socket has not sent, oldest first; eight sockets at a time.

    Until it is done the cursors of the socket stand still, so that a connection that breaks meanwhile loses nothing. What
    cannot be caught up with (older than 10 minutes, more than 800 tweets, a home that cannot be read) becomes `gap`.
    """

    def __init__(self, views: Deps, render: Callable[[view_pb2.Tweet], bytes], clock: Clock, tasks: Tasks) -> None:
        self._views = views
        self._home = home(views)
        self._render = render
        self._clock = clock
        self._tasks = tasks
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._wanted: dict[Socket, int] = {}
        self._busy: set[Socket] = set()

    def start(self, socket: Socket, since_ms: int) -> None:
        """Begin, or widen what is under way."""
        socket.hold(since_ms)
        self._wanted[socket] = min(since_ms, self._wanted.get(socket, since_ms))
        if socket not in self._busy:
            self._busy.add(socket)
            self._tasks.spawn(self._work(socket))

    async def _work(self, socket: Socket) -> None:
        try:
            async with self._room:
                while (since_ms := self._wanted.pop(socket, None)) is not None and not socket.closed:
                    await self._bring(socket, since_ms)
                socket.release()
        finally:
            self._busy.discard(socket)
            self._wanted.pop(socket, None)

    async def _bring(self, socket: Socket, since_ms: int) -> None:
        if self._clock.now_ms() - since_ms > RESUME_WITHIN_MS:
            socket.gap()
            return
        for attempt in range(_TRIES):
            try:
                tweets = await self._read(socket.viewer, since_ms - OVERLAP_MS)
                break
            except (aio.AioRpcError, ExceptionGroup) as error:
                log.warning("catch_up_failed", attempt=attempt, error=str(error))
                await asyncio.sleep(_PAUSE_S)
        else:
            tweets = None
        if tweets is None or not await self._send(socket, tweets[::-1]):
            socket.gap()

    async def _send(self, socket: Socket, tweets: list[view_pb2.Tweet]) -> bool:
        """Send what the home still shows: a reader may take long, and what is hidden or deleted meanwhile was told before.

        False when that cannot be said.
        """
        for start in range(0, len(tweets), _BURST):
            await socket.drained()
            burst = {raw_id(tweet.tweet_id): tweet for tweet in tweets[start : start + _BURST]}
            try:
                with acting(NOBODY, _READ_WITHIN_S):
                    shown = await still_in_home(socket.viewer, list(burst), self._views)
            except (aio.AioRpcError, ExceptionGroup) as error:
                log.warning("catch_up_not_judged", error=str(error))
                return False
            # Nothing is awaited until they are sent.
            for tweet_id, tweet in burst.items():
                if tweet_id in shown:
                    socket.tweet(tweet_id, self._render(tweet))
        return True

    async def _read(self, viewer: bytes, since_ms: int) -> list[view_pb2.Tweet] | None:
        """What the home shows from the time on, newest first; None when that is too much."""
        before = (uuid7_of(max(0, since_ms)).int - 1).to_bytes(16)
        tweets: list[view_pb2.Tweet] = []
        position = b""
        while True:
            with acting(NOBODY, _READ_WITHIN_S):
                page = await self._home.run(Query(viewer, viewer, _PAGE, position, before))
            tweets += map(frame_tweet, page.frames)
            if len(tweets) > MOST_TWEETS:
                return None
            if not page.has_more:
                return tweets
            position = page.next_max_id
