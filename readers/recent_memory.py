"""What users wrote in the last minute in memory, for unit tests and simulation; what is in Redis is in recent.py."""

from readers.recent import KEPT_S
from runtime.ids import Clock

Writes = list[tuple[bytes, bytes]]


class MemoryRecent:
    """The (kind, value) pairs of users, newest first, gone a minute after the last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._writes: dict[bytes, tuple[int, Writes]] = {}

    def add(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        """Remember a write."""
        self._writes[user_id] = (self._clock.now_ms(), [(kind, value), *self.of(user_id)])

    def of(self, user_id: bytes) -> Writes:
        """What is remembered of a user."""
        last_ms, writes = self._writes.get(user_id, (0, []))
        return writes if self._clock.now_ms() - last_ms < KEPT_S * 1000 else []

    def clear(self) -> None:
        """Forget everything."""
        self._writes.clear()
