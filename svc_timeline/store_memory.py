"""The promises of the stored homes kept in memory, for unit tests and simulation; nothing survives the process."""

from collections import defaultdict
from collections.abc import Sequence

from runtime.ids import Clock, ms_of
from svc_timeline.domain import Entry, Span, newest


class MemoryHomeStore:
    """Homes in a dictionary."""

    def __init__(self, clock: Clock, stored_ttl_s: int) -> None:
        self._clock = clock
        self._ttl_ms = stored_ttl_s * 1000
        self._homes: dict[bytes, dict[bytes, Entry]] = defaultdict(dict)

    async def add(self, user_ids: Sequence[bytes], entries: Sequence[Entry]) -> None:
        """See HomeStore."""
        for user_id in user_ids:
            self._homes[user_id].update({entry.entry_id: entry for entry in entries if self._lives(entry)})

    async def read(self, user_id: bytes, span: Span, limit: int) -> list[Entry]:
        """See HomeStore."""
        return newest(filter(self._lives, self._homes.get(user_id, {}).values()), span, limit)

    async def is_empty(self) -> bool:
        """See HomeStore."""
        return not any(map(self._lives, (entry for home in self._homes.values() for entry in home.values())))

    def _lives(self, entry: Entry) -> bool:
        return ms_of(entry.entry_id) + self._ttl_ms > self._clock.now_ms()
