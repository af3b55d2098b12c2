"""The promises of the states of readers kept in memory, for unit tests and simulation; nothing survives the process."""

from collections.abc import Callable

from aviary.timeline.v1.events_pb2 import ReaderSeen

from runtime.ids import Clock
from svc_timeline.days import DAY_MS
from svc_timeline.states import KEPT_DAYS


class MemoryHomeStates:
    """States in a dictionary."""

    def __init__(self, announce: Callable[[ReaderSeen], None], clock: Clock) -> None:
        """`announce` is called where a CQL store puts the announcement into its batch."""
        self._announce = announce
        self._clock = clock
        self._days: dict[bytes, int] = {}

    async def last_read_day(self, user_id: bytes) -> int | None:
        """See HomeStates."""
        day = self._days.get(user_id)
        return None if day is None or (day + KEPT_DAYS) * DAY_MS <= self._clock.now_ms() else day

    async def set_read_day(self, user_id: bytes, day: int, announce: ReaderSeen) -> None:
        """See HomeStates."""
        self._days[user_id] = max(day, self._days.get(user_id, day))
        self._announce(announce)
