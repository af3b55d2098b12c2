"""Watches over one durable: lag metrics, a warning before streams are full, and a mended subscription when nothing moves."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from prometheus_client import Counter, Gauge

from runtime.bus.port import ConsumerState, Subscription
from runtime.context import told_to_stop
from runtime.errors import Unavailable
from runtime.telemetry import logger

LOOK_S = 20.0
"""A look asks the broker four short questions: one in five seconds."""
STUCK_S = 60.0
_SILENT_S = 15.0
_FULL_ALARM = 0.6
Look = Callable[[], Awaitable[ConsumerState]]

log = logger(__name__)
PENDING = Gauge("aviary_mesh_consumer_pending", "Messages not handled yet.", ["durable"])
IN_HAND = Gauge("aviary_mesh_consumer_in_hand", "Messages delivered and not acknowledged.", ["durable"])
OLDEST = Gauge("aviary_mesh_consumer_oldest_seconds", "Age of the oldest message not handled.", ["durable"])
DEAD = Gauge("aviary_mesh_dead_letters", "Messages set aside, waiting for `aviary dlq`.", ["durable"])
FILL = Gauge("aviary_mesh_stream_fill_ratio", "How full the durable's stream or the dead letters are.", ["durable"])
STUCK = Counter("aviary_mesh_consumer_stuck_total", "Subscriptions made anew because nothing moved.", ["durable"])


class Watch:
    """The health of one durable in this process."""

    def __init__(self, durable: str, backlog: Look, subscription: Subscription, look_s: float, stuck_s: float) -> None:
        self.durable = durable
        self.subscription = subscription
        self.backlog = backlog
        self._look_s = look_s
        self._stuck_s = stuck_s
        self._progress = -1
        self._moved_at = 0.0
        self._renewals = 0

    async def look(self) -> None:
        """Take metrics and mend until cancelled."""
        self._moved_at = time.monotonic()
        while not told_to_stop():
            await asyncio.sleep(self._look_s)
            try:
                state = await self.backlog()
            except Unavailable as error:
                log.warning("lag_unknown", durable=self.durable, error=error.detail)
                self._moved_at = time.monotonic()
                continue
            self._show(state)
            self._judge(state)

    def check(self) -> None:
        """Raises Unavailable while the broker is silent, or when a new subscription did not help either."""
        if self.subscription.silent_s() > _SILENT_S:
            raise Unavailable(f"{self.durable}: nobody answers the subscription", retry_after_s=1)
        if self._renewals > 1:
            raise Unavailable(f"{self.durable}: messages wait and none is delivered", retry_after_s=1)

    def _show(self, state: ConsumerState) -> None:
        PENDING.labels(self.durable).set(state.pending)
        IN_HAND.labels(self.durable).set(state.in_hand)
        OLDEST.labels(self.durable).set(state.oldest_age_ms / 1000)
        DEAD.labels(self.durable).set(state.dead)
        FILL.labels(self.durable).set(state.fill)
        if state.fill >= _FULL_ALARM:
            log.error("stream_fills", durable=self.durable, fill=round(state.fill, 3))

    def _judge(self, state: ConsumerState) -> None:
        """Messages wait, nothing is delivered or settled anywhere, and nobody here is at work: that is no backlog."""
        now = time.monotonic()
        moved = state.progress != self._progress or state.pending <= state.in_hand or self.subscription.at_work()
        self._progress = state.progress
        if moved:
            self._moved_at, self._renewals = now, 0
        elif now - self._moved_at >= self._stuck_s:
            self._moved_at = now
            self._renewals += 1
            STUCK.labels(self.durable).inc()
            log.error("consumer_stuck", durable=self.durable, pending=state.pending, renewals=self._renewals)
            self.subscription.renew()
