"""Which tweets were deleted, as their service signals it; notices when it may have missed a signal. Bodies are kept elsewhere."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from aviary.tweet.v1 import events_pb2

from runtime import telemetry

SILENCE_S = 0.75
FORGET_S = 60.0
REMEMBERED = 100_000

log = telemetry.logger(__name__)

Deleted = Callable[[bytes, bytes], None]
Lost = Callable[[], None]


@dataclass(slots=True)
class _Publisher:
    sequence: int
    heard_at: float


class Statuses:
    """The statuses that may be believed without asking.

    A status learned in epoch E is true as long as `epoch()` is E: deletions since then were signalled and are known here.
    The epoch moves when a signal may have been lost (a gap in a publisher's numbers, or 750 ms without a heartbeat). While
    a publisher is silent there is no epoch: whatever it deletes now, nobody here will hear, and everything must be asked.
    A publisher that says goodbye may be silent; one that died is waited for 60 seconds and then forgotten.
    """

    def __init__(self, monotonic: Callable[[], float], remembered: int = REMEMBERED) -> None:
        self._now = monotonic
        self._remembered = remembered
        self._publishers: dict[bytes, _Publisher] = {}
        self._since = monotonic()
        self._epoch = 1
        self._silent: set[bytes] = set()
        self._deleted: dict[bytes, None] = {}
        self._watchers: list[tuple[Deleted, Lost]] = []

    def watch(self, on_deleted: Deleted, on_lost: Lost) -> Callable[[], None]:
        """Call back with tweet and author of every deletion that is heard for the first time, and when signals were lost.

        Call the result to stop.
        """
        watcher = (on_deleted, on_lost)
        self._watchers.append(watcher)
        return partial(self._watchers.remove, watcher)

    def epoch(self) -> int | None:
        """The epoch in which statuses that are learned now are true; None while nothing may be believed."""
        now = self._now()
        self._notice_silence(now)
        if self._silent or not self._publishers or now - self._since < SILENCE_S:
            return None
        return self._epoch

    def is_deleted(self, tweet_id: bytes) -> bool:
        """Whether a deletion of it was heard. False means nothing for a status that was learned in another epoch."""
        return tweet_id in self._deleted

    def deleted_of(self, tweet_ids: Iterable[bytes]) -> frozenset[bytes]:
        """Those of the ids whose deletion was heard."""
        return frozenset(self._deleted.keys() & set(tweet_ids)) if self._deleted else frozenset()

    def remember(self, tweet_ids: Iterable[bytes]) -> None:
        """Keep deletions that were learned in another way; deletion is final, so it does not matter which."""
        for tweet_id in tweet_ids:
            self._remember(tweet_id)

    async def heard(self, signal: events_pb2.TweetStatusSignal) -> None:
        """A signal arrived."""
        now = self._now()
        self._notice_silence(now)
        known = self._publishers.get(signal.publisher_id)
        expected = (0 if known is None else known.sequence) + (1 if signal.changes else 0)
        self._silent.discard(signal.publisher_id)
        self._publishers[signal.publisher_id] = _Publisher(max(signal.sequence, expected), now)
        if signal.sequence > expected:
            self._move("first_heard_late" if known is None else "gap")
            if known is not None:
                self._tell_lost()
        for change in signal.changes:
            if change.deleted:
                self._learn(change.tweet_id, change.author_id)
        if signal.goodbye:
            del self._publishers[signal.publisher_id]

    async def announced(self, event: events_pb2.TweetDeleted) -> None:
        """A deletion was announced: one that nobody signalled, too, because its process died or never learned that it stands."""
        self._learn(event.tweet_id, event.author_id)

    def _learn(self, tweet_id: bytes, author_id: bytes) -> None:
        if self._remember(tweet_id):
            for tell, _ in self._watchers:
                tell(tweet_id, author_id)

    def _notice_silence(self, now: float) -> None:
        for publisher_id, publisher in list(self._publishers.items()):
            quiet = now - publisher.heard_at
            if quiet > SILENCE_S and publisher_id not in self._silent:
                self._silent.add(publisher_id)
                self._move("silence")
            if quiet > FORGET_S:
                self._silent.discard(publisher_id)
                del self._publishers[publisher_id]

    def _move(self, why: str) -> None:
        self._epoch += 1
        log.info("statuses_unknown", why=why)

    def _tell_lost(self) -> None:
        for _, tell in self._watchers:
            tell()

    def _remember(self, tweet_id: bytes) -> bool:
        if tweet_id in self._deleted:
            return False
        if len(self._deleted) >= self._remembered:
            # A load that began before a forgotten deletion could bring the tweet back; in a new epoch it is asked again.
            for old in list(self._deleted)[: self._remembered // 2]:
                del self._deleted[old]
            self._move("full")
        self._deleted[tweet_id] = None
        return True
