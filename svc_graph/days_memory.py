"""The promises of the days of readers kept in memory, for unit tests and simulation; nothing survives the process."""

from collections.abc import Sequence

from runtime.ids import Clock
from svc_graph.away import DAY_MS


class MemoryReaderDays:
    """Days in a dictionary."""

    def __init__(self, clock: Clock, kept_days: int) -> None:
        self._clock = clock
        self._kept_days = kept_days
        self._days: dict[bytes, int] = {}
        self._since: int | None = None

    async def seen(self, reader_ids: Sequence[bytes]) -> dict[bytes, int]:
        """See ReaderDays."""
        return {one: self._days[one] for one in reader_ids if one in self._days and self._is_kept(self._days[one])}

    async def put(self, reader_id: bytes, day: int) -> None:
        """See ReaderDays."""
        if self._is_kept(day):
            self._days[reader_id] = max(day, self._days.get(reader_id, day))

    async def kept_since(self) -> int | None:
        """See ReaderDays."""
        return self._since

    async def begin(self, day: int) -> None:
        """See ReaderDays."""
        self._since = day

    def lose(self) -> None:
        """As when somebody empties the table."""
        self._days.clear()
        self._since = None

    def _is_kept(self, day: int) -> bool:
        return (day + self._kept_days) * DAY_MS > self._clock.now_ms()
