"""When a process that ended is started again, when to give up, how long it may hang. Pure: time is passed in."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RestartPolicy:
    """Waits of `first_s` doubling to `longest_s`; gives up after `limit` restarts within `window_s`.

    It also gives up after `limit` restarts in a row without once being ready: with the longest waits a process that
    takes seconds to fail would otherwise never reach the limit within the window, and fail unnoticed for ever.
    """

    first_s: float = 0.2
    longest_s: float = 10.0
    limit: int = 10
    window_s: float = 60.0
    hung_s: float = 10.0
    """What answered no ping for so long (times the patience of its program) is ended; 0: nothing is."""


@dataclass
class Restarts:
    """The restarts of one process."""

    policy: RestartPolicy
    total: int = 0
    _recent: deque[float] = field(default_factory=deque)
    _unready: int = 0

    def became_ready(self) -> None:
        """Note that the process works."""
        self._unready = 0

    def next_delay(self, now: float) -> float | None:
        """Seconds to wait before starting it again after it ended at `now` (monotonic); None is giving up."""
        while self._recent and self._recent[0] <= now - self.policy.window_s:
            self._recent.popleft()
        if max(len(self._recent), self._unready) >= self.policy.limit:
            return None
        delay = min(self.policy.first_s * 2.0 ** len(self._recent), self.policy.longest_s)
        self._recent.append(now)
        self._unready += 1
        self.total += 1
        return delay
