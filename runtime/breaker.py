"""A circuit breaker: while a peer does not answer, it is not asked; a state machine with a clock, which sends nothing itself."""

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from runtime.errors import Unavailable
from runtime.telemetry import logger

OPEN = Gauge("aviary_mesh_breaker_open", "1 while a peer is not asked, but for a probe now and then.", ["target"])
REFUSED = Counter(
    "aviary_mesh_breaker_refused_total", "Questions that were not sent to a peer that does not answer.", ["target"]
)

WINDOW_S = 10.0
LEAST = 10
SHARE = 0.5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 4.0
PROBE_S = 10.0
FAIR_S = 1.0

Turn = tuple[int, float]

log = logger(__name__)


class Breaker:
    """Closed, it lets every question through; when half of at least 10 within 10 seconds found no peer it opens.

    Open, it refuses at once; after a pause (0.5 s, doubling to 4 s) it lets one through, the probe: answered, it closes.
    Every `enter` that returns is followed by one of `answered`, `failed` and `silent`.
    """

    def __init__(self, target: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._now = monotonic
        self._open = OPEN.labels(target)
        self._refused = REFUSED.labels(target)
        self._state = 0
        """Counts changes of state and probes: what a question of another state has to say is no news."""
        self._closed = True
        self._asked_again_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._since = self._answered_at = monotonic()
        self._well = self._unwell = 0

    def enter(self) -> Turn:
        """Ask whether the peer may be asked. Raises Unavailable, with the time at which it may be again."""
        now = self._now()
        if not self._closed:
            if now < self._asked_again_at:
                self._refused.inc()
                text = f"{self._target} does not answer and is not asked for a moment"
                raise Unavailable(text, retry_after_s=self._asked_again_at - now)
            # The probe. One that never ends is followed by another.
            self._asked_again_at = now + PROBE_S
            self._state += 1
        return self._state, now

    def answered(self, turn: Turn) -> None:
        """The peer answered, be it with a failure: it is there."""
        self._answered_at = now = self._now()
        if turn[0] == self._state:
            if self._closed:
                self._count(now, well=1)
            else:
                self._change(now, closed=True)

    def failed(self, turn: Turn) -> None:
        """The peer was not reached, or has too much to do."""
        if turn[0] != self._state:
            return
        now = self._now()
        if self._closed:
            self._count(now, unwell=1)
            if self._well + self._unwell < LEAST or self._unwell < SHARE * (self._well + self._unwell):
                return
            self._change(now, closed=False)
        else:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._asked_again_at = now + self._pause_s

    def silent(self, turn: Turn) -> None:
        """Who asked waits no longer. That counts only after a fair time in which the peer answered nobody."""
        now = self._now()
        if now - turn[1] >= FAIR_S and self._answered_at <= turn[1]:
            self.failed(turn)
        elif turn[0] == self._state and not self._closed:
            self._asked_again_at = now

    def _count(self, now: float, well: int = 0, unwell: int = 0) -> None:
        if now - self._since > WINDOW_S:
            self._since, self._well, self._unwell = now, 0, 0
        self._well += well
        self._unwell += unwell

    def _change(self, now: float, *, closed: bool) -> None:
        self._closed = closed
        self._state += 1
        self._pause_s = FIRST_PAUSE_S
        self._since, self._well, self._unwell = now, 0, 0
        self._open.set(0 if closed else 1)
        log.warning("breaker_closed" if closed else "breaker_open", target=self._target)
