"""An outbox within one process, for unit tests and simulation; the promises are those of runtime.outbox."""

import asyncio
from collections.abc import Sequence

from google.protobuf.message import Message

from runtime.bus import Bus, Envelope, envelope_of
from runtime.errors import Unavailable
from runtime.ids import Clock
from runtime.telemetry import logger

log = logger(__name__)


class MemoryOutbox:
    """Keeps the promises of `Outbox` for memory stores: they call `write` where a CQL store puts `row` into its batch."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._rows: dict[bytes, tuple[Envelope, int]] = {}

    def write(self, event: Message) -> None:
        """The announcement is stored, together with what it announces."""
        envelope = envelope_of(event)
        self._rows.setdefault(envelope.event_id, (envelope, self._clock.now_ms()))

    async def publish_soon(self, *events: Message) -> None:
        """Publish announcements that were written. Never raises."""
        await self._publish([envelope_of(e) for e in events])

    async def relay(self) -> None:
        """Publish, until cancelled, what `publish_soon` did not."""
        while True:
            await self.relay_all()
            await asyncio.sleep(0.01)

    async def relay_all(self) -> None:
        """One pass of the relay over everything that is left."""
        await self._publish([envelope for envelope, _ in self._rows.values()])

    async def backlog(self) -> tuple[int, int]:
        """Announcements not yet published, and the age in milliseconds of the oldest."""
        now_ms = self._clock.now_ms()
        return len(self._rows), max((now_ms - at_ms for _, at_ms in self._rows.values()), default=0)

    async def _publish(self, envelopes: Sequence[Envelope]) -> None:
        try:
            await self._bus.send(envelopes)
        except Unavailable as error:
            log.warning("publish_later", events=len(envelopes), error=error.detail)
            return
        for envelope in envelopes:
            self._rows.pop(envelope.event_id, None)
