"""Which tweets were deleted, as their service signals it, and whether all of it was heard. Bodies are kept elsewhere."""

from collections.abc import Callable, Iterable

from aviary.tweet.v1 import events_pb2

from signals.epochs import Epochs, Lost

REMEMBERED = 100_000

Deleted = Callable[[bytes, bytes], None]


class Statuses:
    """The statuses that may be believed without asking.

    A status learned in epoch E is true as long as `epoch()` is E: deletions since then were signalled and are known here.
    """

    def __init__(self, monotonic: Callable[[], float], remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._epochs = Epochs(monotonic, events_pb2.TweetStatusSignal)
        self._deleted: dict[bytes, None] = {}
        self._watchers: list[Deleted] = []

    def watch(self, on_deleted: Deleted, on_lost: Lost) -> Callable[[], None]:
        """Call back with tweet and author of every deletion that is heard for the first time, and when signals were lost.

        Call the result to stop.
        """
        self._watchers.append(on_deleted)
        unwatch = self._epochs.watch_lost(on_lost)

        def stop() -> None:
            self._watchers.remove(on_deleted)
            unwatch()

        return stop

    def epoch(self) -> int | None:
        """The epoch in which statuses that are learned now are true; None while nothing may be believed."""
        return self._epochs.epoch()

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
        self._epochs.heard(signal)
        for change in signal.changes:
            if change.deleted:
                self._learn(change.tweet_id, change.author_id)

    async def announced(self, event: events_pb2.TweetDeleted) -> None:
        """A deletion was announced: one that nobody signalled, too, because its process died or never learned that it stands."""
        self._learn(event.tweet_id, event.author_id)

    def _learn(self, tweet_id: bytes, author_id: bytes) -> None:
        if self._remember(tweet_id):
            for tell in self._watchers:
                tell(tweet_id, author_id)

    def _remember(self, tweet_id: bytes) -> bool:
        if tweet_id in self._deleted:
            return False
        if len(self._deleted) >= self._remembered:
            # A load that began before a forgotten deletion could bring the tweet back; in a new epoch it is asked again.
            for old in list(self._deleted)[: self._remembered // 2]:
                del self._deleted[old]
            self._epochs.move("full")
        self._deleted[tweet_id] = None
        return True
