"""The tables of an outbox in memory, for unit tests and simulation, and the real outbox over them; how it relays is in outbox/."""

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import Message

from outbox import Outbox, OutboxRow
from outbox.table import BUCKET_MS, ROWS_PER_READ
from runtime.bus import Bus
from runtime.faults import NO_FAULTS
from runtime.ids import Clock

Place = tuple[int, int, bytes]


class MemoryOutboxTable:
    """OutboxTable in a dictionary. A memory store calls `write` where a CQL store puts the row into its batch."""

    def __init__(self, clock: Clock) -> None:
        self._made = clock.now_ms() // BUCKET_MS - 1
        self._watermark: int | None = None
        self._rows: dict[Place, OutboxRow] = {}
        self._deleted: set[Place] = set()

    @property
    def empty(self) -> bool:
        """Whether no row is left."""
        return not self._rows

    def insert(self, row: OutboxRow) -> OutboxRow:
        """See OutboxTable: the row itself."""
        return row

    def write(self, row: OutboxRow) -> None:
        """The row is stored, together with what it announces. A deleted one stays deleted."""
        place = (row.shard, row.bucket, row.envelope.event_id)
        if place not in self._deleted:
            self._rows.setdefault(place, row)

    async def rows(self, first: int, last: int) -> list[OutboxRow]:
        """See OutboxTable."""
        return [row for row in self._rows.values() if first <= row.bucket <= last][:ROWS_PER_READ]

    async def count(self, first: int, last: int) -> tuple[int, int | None]:
        """See OutboxTable."""
        times = [row.created_ms for row in self._rows.values() if first <= row.bucket <= last]
        return len(times), min(times, default=None)

    async def delete(self, rows: Iterable[Sequence[Any]]) -> None:
        """See OutboxTable."""
        for shard, bucket, event_id in rows:
            self._rows.pop((shard, bucket, event_id), None)
            self._deleted.add((shard, bucket, event_id))

    async def watermark(self) -> int:
        """See OutboxTable."""
        return self._made if self._watermark is None else self._watermark

    async def move_watermark(self, bucket: int) -> None:
        """See OutboxTable."""
        self._watermark = bucket


class MemoryOutbox(Outbox[OutboxRow]):
    """The outbox over tables of its own in memory; its relay publishes at once what it finds."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._own = MemoryOutboxTable(clock)
        super().__init__(self._own, bus, clock, NO_FAULTS, relay_ages_s=(0,))

    def write(self, event: Message) -> None:
        """The announcement is stored, together with what it announces."""
        self._own.write(self.row(event))

    async def relay_all(self) -> None:
        """One pass of the relay over everything that is left. Raises Unavailable."""
        await self._relay.pass_once()
