"""The promises of the stored homes kept in memory, for unit tests and simulation; nothing survives the process."""

from collections import defaultdict
from collections.abc import Sequence

from runtime.ids import Clock, ms_of, uuid7_of
from svc_timeline.domain import Entry, Span, newest


class MemoryHomeStore:
    """Homes in a dictionary."""

    def __init__(self, clock: Clock, stored_ttl_s: int) -> None:
        self._clock = clock
        self._ttl_ms = stored_ttl_s * 1000
        self._homes: dict[bytes, dict[bytes, Entry]] = defaultdict(dict)

    async def add(self, user_ids: Sequence[bytes], entries: Sequence[Entry]) -> None:
        """See HomeStore."""
        oldest_ms = self._oldest_ms()
        for user_id in user_ids:
            self._homes[user_id].update({e.entry_id: e for e in entries if ms_of(e.entry_id) > oldest_ms})

    async def read(self, user_id: bytes, span: Span, limit: int) -> list[Entry]:
        """See HomeStore."""
        living = Span(max(span.low, uuid7_of(self._oldest_ms() + 1).bytes), span.high)
        return newest(self._homes.get(user_id, {}).values(), living, limit)

    async def is_empty(self) -> bool:
        """See HomeStore."""
        oldest_ms = self._oldest_ms()
        return not any(ms_of(entry_id) > oldest_ms for home in self._homes.values() for entry_id in home)

    def _oldest_ms(self) -> int:
        return self._clock.now_ms() - self._ttl_ms
