"""Tells the caches of all processes at once which tweets were deleted, and makes silence noticeable; what caches do is theirs."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from aviary.tweet.v1.events_pb2 import TweetStatusChange, TweetStatusSignal
from prometheus_client import Counter

from runtime.bus import Bus
from runtime.errors import Unavailable
from runtime.telemetry import logger

HEARTBEAT_S = 0.25
SILENCE_NOTICED_S = 1.0
"""After this time without a signal every cache has stopped trusting what it knows of statuses (it does after 750 ms)."""

REMEMBERED_S = 45.0
"""For so long a silent publisher is certainly waited for: caches forget it after 60 s, and then its silence says nothing."""

log = logger(__name__)
MISSED = Counter("aviary_tweet_status_signals_missed_total", "Signals of deletions that the broker did not take.")


class StatusSignals:
    """One publisher of TweetStatusSignal.

    A listener knows all deletions that this process answered, as long as it hears a signal at least every 750 ms whose sequence is
    the next one, or for a heartbeat the last one. Anything else is a gap or silence: then it knows nothing until it asks.
    """

    def __init__(
        self,
        bus: Bus,
        publisher_id: bytes,
        silence_noticed_s: float = SILENCE_NOTICED_S,
        remembered_s: float = REMEMBERED_S,
    ) -> None:
        self._bus = bus
        self._publisher_id = publisher_id
        self._silence_noticed_s = silence_noticed_s
        self._remembered_s = remembered_s
        self._sequence = 0
        self._heard_at = -math.inf

    async def tell(self, *changes: TweetStatusChange) -> None:
        """Returns when no cache takes its old knowledge of these tweets for true: told, or silent for long enough.

        Raises Unavailable when it was silent for so long that caches may have forgotten it, and go by others alone.
        """
        # Counted before it is sent: when it is lost, the next heartbeat shows the gap.
        self._sequence += 1
        try:
            await self._send(self._signal(changes=changes))
        except Unavailable as error:
            MISSED.inc()
            log.warning("status_signal_missed", error=error.detail)
            await asyncio.sleep(self._silence_noticed_s)
            if asyncio.get_running_loop().time() - self._heard_at > self._remembered_s:
                raise

    @contextmanager
    def doubted_unless_told(self) -> Iterator[None]:
        """Around a write that hides something, and telling of it. When the block fails or is cut off, the write may stand all the same
        and nobody was told: then caches are shown a gap, and ask.
        """
        try:
            yield
        except BaseException:
            # Counted and never sent, so the next heartbeat shows it; nothing is awaited, for the call may be at its end.
            self._sequence += 1
            raise

    async def beat(self) -> None:
        """Background work: show every 250 ms that nothing was lost. While the broker is away the silence says so itself."""
        while True:
            await self._try(self._signal())
            await asyncio.sleep(HEARTBEAT_S)

    async def goodbye(self) -> None:
        """Say, after the last answer, that silence means nothing from now on."""
        await self._try(self._signal(goodbye=True))

    async def _try(self, signal: TweetStatusSignal) -> None:
        try:
            await self._send(signal)
        except Unavailable as error:
            log.debug("status_heartbeat_missed", error=error.detail)

    async def _send(self, signal: TweetStatusSignal) -> None:
        await self._bus.signal(signal)
        self._heard_at = asyncio.get_running_loop().time()

    def _signal(self, changes: tuple[TweetStatusChange, ...] = (), goodbye: bool = False) -> TweetStatusSignal:
        return TweetStatusSignal(
            publisher_id=self._publisher_id, sequence=self._sequence, changes=changes, goodbye=goodbye
        )
