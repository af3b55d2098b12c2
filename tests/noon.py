"""A clock for tests of what is kept by the day: none of them fails for running at midnight."""

from runtime.ids import SystemClock

_DAY_MS = 24 * 3600 * 1000


class Noon(SystemClock):
    """It stands at noon (UTC) of the day on which it was made. Rows expire by the time that is left, which this does not change."""

    def __init__(self) -> None:
        self._ms = super().now_ms() // _DAY_MS * _DAY_MS + _DAY_MS // 2

    def now_ms(self) -> int:
        """See Clock."""
        return self._ms

    def now_us(self) -> int:
        """See Clock."""
        return self._ms * 1000
