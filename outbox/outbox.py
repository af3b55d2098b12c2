"""The transactional outbox: announcements written in the batch of what they announce, published soon, and by the relay in any case.

Its tables `outbox` and `outbox_watermark` are part of each owner's schema/0001, the same text everywhere; table.py reads them.
"""

import asyncio
import zlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message
from prometheus_client import Counter

from cql_client import Statement
from outbox.relay import Relay
from outbox.table import BUCKET_MS, SHARDS, OutboxRow, OutboxTable
from runtime.bus import Bus, Envelope, envelope_of
from runtime.errors import Unavailable
from runtime.faults import Faults
from runtime.ids import Clock
from runtime.telemetry import logger

SOON_S = 0.05
_REMEMBERED_ROWS = 10_000

W = TypeVar("W")

log = logger(__name__)
PUBLISHED = Counter("aviary_mesh_outbox_published_total", "Announcements published.", ["outcome"])


class Announcer(Protocol):
    """What rpcs need of an outbox, and the process that runs one."""

    async def publish_soon(self, *events: Message) -> list[int]:
        """Publish announcements whose rows are acknowledged; returns when they are published or after 50 ms. Never raises.

        Answers their places as `Bus.publish` does, 0 for one that was not confirmed in time.
        """

    async def relay(self) -> None:
        """Publish, until cancelled, what `publish_soon` did not: a background task of the process."""

    async def backlog(self) -> tuple[int, int]:
        """How many announcements are written and not yet published, and the age in milliseconds of the oldest (0 without)."""


class Outbox(Generic[W]):
    """The outbox of one area, over its table."""

    def __init__(
        self,
        table: OutboxTable[W],
        bus: Bus,
        clock: Clock,
        faults: Faults,
        relay_ages_s: Sequence[float] = (15, 60, 900),
    ) -> None:
        """`relay_ages_s`: the ages at which rows are looked for, rising; the last is longer than a batch log may replay late."""
        self._bus = bus
        self._clock = clock
        self._faults = faults
        self._table = table
        self._relay = Relay(table, bus, clock, faults, relay_ages_s)
        # Where the rows of an event lie; lost after a restart, when the relay publishes and deletes them.
        self._rows: OrderedDict[bytes, list[tuple[int, int]]] = OrderedDict()
        self._queue: deque[tuple[Envelope, asyncio.Future[int]]] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._deletes: set[asyncio.Task[None]] = set()

    def row(self, event: Message) -> W:
        """The announcement as the table's kind of write, for the same batch as what it announces."""
        envelope = envelope_of(event)
        now_ms = self._clock.now_ms()
        # The bucket is that of writing: an event's own time may be long ago (a repeated write), where no relay looks any more.
        place = (zlib.crc32(envelope.event_id) % SHARDS, now_ms // BUCKET_MS)
        self._rows.setdefault(envelope.event_id, []).append(place)
        if len(self._rows) > _REMEMBERED_ROWS:
            self._rows.popitem(last=False)
        return self._table.insert(OutboxRow(*place, now_ms, envelope))

    async def publish_soon(self, *events: Message) -> list[int]:
        """See Announcer."""
        published = []
        for event in events:
            done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._queue.append((envelope_of(event), done))
            published.append(done)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_queued())
        if published:
            await asyncio.wait(published, timeout=SOON_S)
        return [future.result() if future.done() else 0 for future in published]

    async def relay(self) -> None:
        """Publish, until cancelled, what `publish_soon` did not."""
        await self._relay.run()

    async def backlog(self) -> tuple[int, int]:
        """Announcements not yet published, and the age in milliseconds of the oldest. Raises Unavailable."""
        return await self._relay.backlog()

    async def _send_queued(self) -> None:
        """Publish what waits, all of it at once; what comes meanwhile makes the next round."""
        while self._queue:
            batch = list(self._queue)
            self._queue.clear()
            envelopes = [envelope for envelope, _ in batch]
            rows = [(*row, e.event_id) for e in envelopes for row in self._rows.pop(e.event_id, [])]
            places = [0] * len(batch)
            try:
                places = await self._bus.send(envelopes)
            except Unavailable as error:
                PUBLISHED.labels("later").inc(len(batch))
                log.warning("publish_later", events=len(batch), error=error.detail)
            else:
                PUBLISHED.labels("soon").inc(len(batch))
                # Beside the next round: a slow database does not hold up what can be published.
                task = asyncio.create_task(self._delete(rows))
                self._deletes.add(task)
                task.add_done_callback(self._deletes.discard)
            finally:
                for (_, done), place in zip(batch, places, strict=True):
                    done.set_result(place)

    async def _delete(self, rows: Sequence[tuple[int, int, bytes]]) -> None:
        self._faults.at("outbox.publish.before_delete")
        try:
            await self._table.delete(rows)
        except Unavailable as error:
            log.warning("outbox_rows_left", rows=len(rows), error=error.detail)


CqlOutbox = Outbox[tuple[Statement, Sequence[Any]]]
"""An outbox over CqlOutboxTable: rows are statements with their values."""
