"""A circuit breaker: a peer that does not answer is not asked; a state machine with a clock, which sends nothing itself."""

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from runtime.errors import Unavailable
from runtime.telemetry import logger

OPEN = Gauge("aviary_mesh_breaker_open", "1 while a peer is asked now and then only.", ["target"])
REFUSED = Counter("aviary_mesh_breaker_refused_total", "Questions that were not sent to such a peer.", ["target"])
UNANSWERED = Counter(
    "aviary_mesh_unanswered_total", "Questions that were sent and not answered by the peer.", ["target"]
)

WINDOW_S, LEAST, SHARE = 10.0, 10, 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 4.0
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
        # Counts changes and probes: what a question from before the last of them has to say is no news.
        self._state = 0
        self._closed = True
        self._pause_s = FIRST_PAUSE_S
        self._asked_again_at = 0.0
        self._since = self._answered_at = monotonic()
        self._well = self._unwell = 0

    def enter(self) -> Turn:
        """Ask whether the peer may be asked. Raises Unavailable, with the time after which it may be."""
        now = self._now()
        if not self._closed:
            if now < self._asked_again_at:
                REFUSED.labels(self._target).inc()
                raise Unavailable(f"{self._target} does not answer", retry_after_s=self._asked_again_at - now)
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
        UNANSWERED.labels(self._target).inc()
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
        self._closed, self._pause_s = closed, FIRST_PAUSE_S
        self._state += 1
        self._since, self._well, self._unwell = now, 0, 0
        OPEN.labels(self._target).set(0 if closed else 1)
        log.warning("breaker_closed" if closed else "breaker_open", target=self._target)
