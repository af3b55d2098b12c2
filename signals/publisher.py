"""Tells the caches of all processes at once what is no longer so, and makes silence noticeable; what caches do is theirs."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf.message import Message
from prometheus_client import Counter

from runtime.bus import Bus
from runtime.contract import event
from runtime.errors import Unavailable
from runtime.telemetry import logger

HEARTBEAT_S = 0.25
SILENCE_NOTICED_S = 1.0
"""After this time without a signal every listener has stopped believing what it knows (it does after 750 ms)."""

REMEMBERED_S = 45.0
"""For so long a silent publisher is certainly waited for: listeners forget it after 60 s, and then its silence says nothing."""

log = logger(__name__)
MISSED = Counter("aviary_signals_missed_total", "Signals of changes that the broker did not take.", ["event"])


def signal_name(kind: type[Message]) -> str:
    """A kind of signal in metrics and logs. Raises ValueError for what is no event."""
    contract = event(kind)
    return f"{contract.family}.{contract.name}"


class Publisher:
    """One publisher of one kind of signal.

    A listener knows everything that this process told, as long as it hears a signal at least every 750 ms whose sequence is the
    next one, or for a heartbeat the last one. Anything else is a gap or silence: then it knows nothing until it asks.
    """

    def __init__(
        self,
        bus: Bus,
        kind: type[Message],
        publisher_id: bytes,
        silence_noticed_s: float = SILENCE_NOTICED_S,
        remembered_s: float = REMEMBERED_S,
    ) -> None:
        """`kind`: a signal with `publisher_id`, `sequence` and `goodbye`, whose repeated fields say what changed.

        `publisher_id` (16 bytes) is new with every start of the process.
        """
        self._bus = bus
        self._kind = kind
        self._name = signal_name(kind)
        self._publisher_id = publisher_id
        self._silence_noticed_s = silence_noticed_s
        self._remembered_s = remembered_s
        self._sequence = 0
        self._heard_at = -math.inf

    async def tell(self, **changes: Any) -> None:
        """Say what changed, in repeated fields of the signal. Returns when the broker has it, so that listeners hear it within
        milliseconds, or when it was silent for so long that none takes its old knowledge for true.

        Raises Unavailable when it was silent for so long that listeners may have forgotten it, and go by others alone.
        """
        # Counted before it is sent: when it is lost, the next heartbeat shows the gap.
        self._sequence += 1
        try:
            await self._send(**changes)
        except Unavailable as error:
            MISSED.labels(self._name).inc()
            log.warning("signal_missed", signal=self._name, error=error.detail)
            await asyncio.sleep(self._silence_noticed_s)
            if asyncio.get_running_loop().time() - self._heard_at > self._remembered_s:
                raise

    @contextmanager
    def doubted_unless_told(self) -> Iterator[None]:
        """Around a write that hides something, and telling of it. When the block fails or is cut off, the write may stand all the same
        and nobody was told: then listeners are shown a gap, and ask.
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
            await self._try()
            await asyncio.sleep(HEARTBEAT_S)

    async def goodbye(self) -> None:
        """Say, after the last answer, that silence means nothing from now on."""
        await self._try(goodbye=True)

    async def _try(self, **fields: Any) -> None:
        try:
            await self._send(**fields)
        except Unavailable as error:
            log.debug("heartbeat_missed", signal=self._name, error=error.detail)

    async def _send(self, **fields: Any) -> None:
        await self._bus.signal(self._kind(publisher_id=self._publisher_id, sequence=self._sequence, **fields))
        self._heard_at = asyncio.get_running_loop().time()
