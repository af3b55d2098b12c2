"""Counts of the tweets that clients watch: asked for all sockets of the process together, sent when they changed. Reads no messages."""

import asyncio
import contextlib
import zlib
from collections import Counter
from collections.abc import Collection, Iterable

from aviary.engage.v1.events_pb2 import CountsChanged
from grpc import aio

from edge.stream.messages import counts, tweet_deleted
from edge.stream.socket import Socket
from runtime import telemetry
from runtime.bus import Bus, Stop
from runtime.bus.envelope import PARTITIONS
from runtime.context import NOBODY, acting
from runtime.errors import Unavailable
from runtime.ids import Clock
from views.deps import Deps
from views.engagement import Engaged
from views.ids import text_id
from views.live import apart, visible_now

EVERY_MS = 1000
"""Changes of one tweet are sent at most so often."""
_ROUND_S = 0.25
_REST_S = 0.05
"""Between two rounds at least: whatever clients ask for meanwhile is asked for together."""
_PAUSE_S = 1.0
_BATCH = 400
_ASK_WITHIN_S = 2.0
_LISTEN_AGAIN_MS = 30_000

log = telemetry.logger(__name__)


class Watches:
    """Which socket watches which tweets, and what was last said of each.

    Of every watched tweet its watchers are told at once, then whenever its counts changed, and when it is deleted; what a reader
    may not see is told as deleted, as REST knows no difference either. While svc_engage or svc_tweet is away it stays owed.
    """

    def __init__(self, views: Deps, bus: Bus, clock: Clock) -> None:
        self._views = views
        self._bus = bus
        self._clock = clock
        self._watchers: dict[bytes, set[Socket]] = {}
        self._of: dict[Socket, frozenset[bytes]] = {}
        self._last: dict[bytes, tuple[Engaged, int]] = {}
        """What all watchers of a tweet were told, and when."""
        self._due: dict[bytes, set[Socket]] = {}
        """Tweets to ask for; these sockets get an answer also when nothing changed."""
        self._urgent = asyncio.Event()
        self._partitions: Counter[int] = Counter()
        self._heard: dict[int, Stop] = {}
        self._listen_at_ms = 0

    def __len__(self) -> int:
        """How many tweets are watched."""
        return len(self._watchers)

    def watch(self, socket: Socket, tweet_ids: Collection[bytes]) -> None:
        """The tweets that a socket watches from now on, instead of all others."""
        self.forget(socket)
        if not tweet_ids:
            return
        self._of[socket] = frozenset(tweet_ids)
        for tweet_id in tweet_ids:
            if tweet_id not in self._watchers:
                self._watchers[tweet_id] = set()
                self._partitions[_partition(tweet_id)] += 1
            self._watchers[tweet_id].add(socket)
            self._due.setdefault(tweet_id, set()).add(socket)
        self._urgent.set()

    def forget(self, socket: Socket) -> None:
        """A socket watches nothing any more."""
        for tweet_id in self._of.pop(socket, ()):
            watchers = self._watchers.get(tweet_id, set())
            watchers.discard(socket)
            if owed := self._due.get(tweet_id):
                owed.discard(socket)
            if not watchers:
                self._drop(tweet_id)

    async def heard(self, signal: CountsChanged) -> None:
        """Counts changed; of watched ones the new values are asked for."""
        self._ask_again(signal.subject_ids)

    def deleted(self, tweet_id: bytes, author_id: bytes) -> None:
        """A tweet was deleted: its watchers learn it at once."""
        if tweet_id in self._watchers:
            self._gone(tweet_id, self._due.get(tweet_id, set()))

    def uncertain(self) -> None:
        """Signals may be lost, of counts or of deletions: everything that is watched is asked for again."""
        self._listen_at_ms = 0
        self._ask_again(list(self._watchers))

    async def run(self) -> None:
        """Tell what is due, until cancelled: what is new on a screen at once, changes four times a second at most."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_ROUND_S):
                        await self._urgent.wait()
                await asyncio.sleep(_REST_S if await self.round() else _PAUSE_S)
        finally:
            for stop in self._heard.values():
                await stop()

    async def round(self) -> bool:
        """Ask once for what is due, for all sockets together. False when that was not possible now; it stays due."""
        self._urgent.clear()
        await self._listen()
        now = self._clock.now_ms()
        ready = [key for key, owed in self._due.items() if owed or now - self._told_at(key) >= EVERY_MS]
        for start in range(0, len(ready), _BATCH):
            if not await self._tell(ready[start : start + _BATCH], now):
                return False
        return True

    async def _tell(self, tweet_ids: list[bytes], now: int) -> bool:
        taken = {key: self._due.pop(key) for key in tweet_ids if key in self._due}
        try:
            with acting(NOBODY, _ASK_WITHIN_S):
                visible = await visible_now(list(taken), self._views)
                found = (await self._views.engagement.ask_tweets(b"", visible.keys())).of if visible else {}
                viewers = {socket.viewer for key in visible for socket in self._watchers.get(key, ())}
                unseen = await apart(viewers, set(visible.values()), self._views)
        except aio.AioRpcError as error:
            log.warning("watched_not_asked", tweets=len(taken), error=repr(error))
            for key, owed in taken.items():
                if key in self._watchers:
                    self._due.setdefault(key, set()).update(owed & self._watchers[key])
            return False
        for key, owed in taken.items():
            if key not in self._watchers:
                # Nobody wants it any more, or its deletion was heard, and told, since the question was sent.
                continue
            if key not in visible:
                self._gone(key, owed)
                continue
            for socket in [s for s in self._watchers[key] if visible[key] in unseen.get(s.viewer, ())]:
                self._lose(key, socket, socket in owed)
            if key in self._watchers and key in found:
                # Who began to watch since then was not asked about: a block may stand there, and the answer is owed.
                self._say(key, found[key], owed, {s for s in self._watchers[key] if s.viewer in viewers}, now)
        return True

    def _lose(self, tweet_id: bytes, socket: Socket, owed: bool) -> None:
        """A block stands between the reader and the author now: to this reader the tweet is gone."""
        self._of[socket] -= {tweet_id}
        self._watchers[tweet_id].discard(socket)
        if not self._watchers[tweet_id]:
            self._drop(tweet_id)
        socket.tweet_deleted(tweet_id, tweet_deleted(text_id(tweet_id)), again=owed)

    def _say(self, tweet_id: bytes, engaged: Engaged, owed: set[Socket], may_see: set[Socket], now: int) -> None:
        before = self._last.get(tweet_id)
        to = owed & may_see
        if before is None or before[0] != engaged:
            if before is not None and now - before[1] < EVERY_MS:
                # The others were told less than a second ago: they learn it in their turn.
                self._due.setdefault(tweet_id, set())
            else:
                self._last[tweet_id] = (engaged, now)
                to = may_see
        data = counts(text_id(tweet_id), engaged)
        for socket in to:
            socket.counts(data)

    def _gone(self, tweet_id: bytes, owed: set[Socket]) -> None:
        data = tweet_deleted(text_id(tweet_id))
        watchers = self._watchers[tweet_id]
        self._drop(tweet_id)
        for socket in watchers:
            self._of[socket] -= {tweet_id}
            socket.tweet_deleted(tweet_id, data, again=socket in owed)

    def _ask_again(self, tweet_ids: Iterable[bytes]) -> None:
        for tweet_id in tweet_ids:
            if tweet_id in self._watchers:
                self._due.setdefault(tweet_id, set())

    def _told_at(self, tweet_id: bytes) -> int:
        last = self._last.get(tweet_id)
        return last[1] if last else 0

    def _drop(self, tweet_id: bytes) -> None:
        del self._watchers[tweet_id]
        self._due.pop(tweet_id, None)
        self._last.pop(tweet_id, None)
        partition = _partition(tweet_id)
        self._partitions[partition] -= 1
        if not self._partitions[partition]:
            del self._partitions[partition]

    async def _listen(self) -> None:
        """Hear the partitions of what is watched, and no others."""
        for partition in [p for p in self._heard if p not in self._partitions]:
            await self._heard.pop(partition)()
        missing = [p for p in self._partitions if p not in self._heard]
        if not missing or self._clock.now_ms() < self._listen_at_ms:
            return
        results = await asyncio.gather(*map(self._listen_to, missing), return_exceptions=True)
        for partition, result in zip(missing, results, strict=True):
            if isinstance(result, Unavailable):
                self._listen_at_ms = self._clock.now_ms() + _LISTEN_AGAIN_MS
            elif isinstance(result, BaseException):
                raise result
            else:
                self._heard[partition] = result
        # What changed before the subscription stood was heard by nobody.
        new = set(missing) & self._heard.keys()
        self._ask_again([key for key in self._watchers if _partition(key) in new])

    async def _listen_to(self, partition: int) -> Stop:
        return await self._bus.listen(CountsChanged, self.heard, receiver=partition.to_bytes(2))


def _partition(tweet_id: bytes) -> int:
    """The partition of the bus in which events about the tweet travel."""
    return zlib.crc32(tweet_id) % PARTITIONS
