"""The tables of an outbox and its relay: passes over the buckets at several ages, and a stored watermark. Writing rows is outbox.py."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from runtime.bus import Bus, Envelope
from runtime.cql import Cql, Statement
from runtime.errors import Unavailable
from runtime.faults import Faults
from runtime.ids import Clock
from runtime.telemetry import logger

BUCKET_MS = 10_000
SHARDS = 4
BUCKETS_PER_READ = 25
ROWS_PER_READ = 2000
_DELETE_AHEAD_US = 60_000_000
_PAUSE_S = 1.0

log = logger(__name__)
W_co = TypeVar("W_co", covariant=True)
"""How a store takes the write of a row into the batch of what the row announces."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An announcement that lies in the outbox."""

    shard: int
    bucket: int
    created_ms: int
    envelope: Envelope


class OutboxTable(Protocol[W_co]):
    """Rows by shard and bucket, and the watermark. Every method raises Unavailable while the database is away."""

    def insert(self, row: OutboxRow) -> W_co:
        """The write of a row, for the same batch as what it announces."""

    async def rows(self, first: int, last: int) -> list[OutboxRow]:
        """What lies in the buckets from `first` to `last`, both included, 25 of them at most; 2,000 rows at most."""

    async def count(self, first: int, last: int) -> tuple[int, int | None]:
        """How many rows the buckets from `first` to `last` hold, and when the oldest was written, in milliseconds."""

    async def delete(self, rows: Iterable[Sequence[Any]]) -> None:
        """Delete published rows (shard, bucket, event_id). A write of one that arrives late does not bring it back."""

    async def watermark(self) -> int:
        """The first bucket that the last pass has not finished; before any pass, the bucket in which the tables were made."""

    async def move_watermark(self, bucket: int) -> None:
        """Remember that everything before `bucket` is published. Two relays may move it back and forth; both are right."""


class CqlOutboxTable:
    """The tables `outbox` and `outbox_watermark` of an area's keyspace."""

    def __init__(self, cql: Cql, clock: Clock) -> None:
        self._cql = cql
        self._clock = clock
        self._insert = cql.prepare(
            "INSERT INTO outbox (shard, bucket, event_id, subject, payload, created_at) VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._read = cql.prepare(
            "SELECT shard, bucket, event_id, subject, payload, created_at FROM outbox"
            f" WHERE shard IN ? AND bucket IN ? LIMIT {ROWS_PER_READ}"
        )
        self._count = cql.prepare("SELECT COUNT(*), MIN(created_at) FROM outbox WHERE shard IN ? AND bucket IN ?")
        self._delete = cql.prepare("DELETE FROM outbox WHERE shard = ? AND bucket = ? AND event_id = ?")
        self._watermark = cql.prepare("SELECT bucket FROM outbox_watermark WHERE id = 0")
        self._set_watermark = cql.prepare("INSERT INTO outbox_watermark (id, bucket) VALUES (0, ?)")
        self._first_use = cql.prepare("SELECT applied_at FROM schema_versions WHERE version = 1")

    def insert(self, row: OutboxRow) -> tuple[Statement, Sequence[Any]]:
        """See OutboxTable: a statement with its values."""
        sent = row.envelope
        return self._insert, (row.shard, row.bucket, sent.event_id, sent.subject, sent.payload, row.created_ms)

    async def rows(self, first: int, last: int) -> list[OutboxRow]:
        """See OutboxTable."""
        found = await self._cql.execute(self._read, (range(SHARDS), range(first, last + 1)))
        return [
            OutboxRow(shard, bucket, at, Envelope(subj, eid, data, "")) for shard, bucket, eid, subj, data, at in found
        ]

    async def count(self, first: int, last: int) -> tuple[int, int | None]:
        """See OutboxTable."""
        rows, oldest = 0, None
        for start in range(first, last + 1, BUCKETS_PER_READ):
            buckets = range(start, min(start + BUCKETS_PER_READ, last + 1))
            ((some, at_ms),) = await self._cql.execute(self._count, (range(SHARDS), buckets))
            rows += some
            oldest = min(at_ms, oldest or at_ms) if some else oldest
        return rows, oldest

    async def delete(self, rows: Iterable[Sequence[Any]]) -> None:
        """See OutboxTable."""
        # Ahead of our clock: the row's timestamp is its writer's, which may have had a reason to be ahead of the time.
        await self._cql.write_rows(self._delete, rows, timestamp_us=self._clock.now_us() + _DELETE_AHEAD_US)

    async def watermark(self) -> int:
        """See OutboxTable."""
        found = await self._cql.execute(self._watermark)
        if found:
            return int(found[0][0])
        made = await self._cql.execute(self._first_use)
        return int(made[0][0].timestamp() * 1000) // BUCKET_MS - 1

    async def move_watermark(self, bucket: int) -> None:
        """See OutboxTable."""
        await self._cql.execute(self._set_watermark, (bucket,))


class Relay:
    """Publishes what lies in the outbox at each of its ages. Two relays at once publish duplicates, which the stream drops."""

    def __init__(
        self, table: OutboxTable[object], bus: Bus, clock: Clock, faults: Faults, ages_s: Sequence[float]
    ) -> None:
        self._table = table
        self._bus = bus
        self._clock = clock
        self._faults = faults
        self._ages_ms = [int(age * 1000) for age in ages_s]
        self._tick_s = min(5.0, max(0.05, ages_s[0] / 5))
        self._next: list[int] = []
        self._began_ms, self._again_from = 0, 0

    async def run(self) -> None:
        """Pass over the buckets until cancelled; while the database or the bus is away, wait and go on where it stopped."""
        while True:
            try:
                await self.pass_once()
            except Unavailable as error:
                log.warning("relay_waits", error=error.detail)
                await asyncio.sleep(_PAUSE_S)
            else:
                await asyncio.sleep(self._tick_s)

    async def pass_once(self) -> None:
        """Do what every pass has to do now. Raises Unavailable; what was done stays done."""
        try:
            if not self._next:
                await self._start()
            for number, age_ms in enumerate(self._ages_ms):
                await self._pass(number, self._clock.now_ms() - age_ms)
        except Unavailable:
            self._next = []
            raise

    async def backlog(self) -> tuple[int, int]:
        """Rows from the watermark on, and the age in milliseconds of the oldest. Raises Unavailable."""
        now_ms = self._clock.now_ms()
        first = self._next[-1] if self._next else await self._table.watermark()
        rows, oldest_ms = await self._table.count(first, now_ms // BUCKET_MS + 1)
        return rows, 0 if oldest_ms is None else max(0, now_ms - oldest_ms)

    async def _start(self) -> None:
        watermark = await self._table.watermark()
        now_ms = self._clock.now_ms()
        # What is older than the next pass's age is that pass's; the last one begins at the watermark.
        later = [*self._ages_ms[1:], None]
        self._next = [watermark if age is None else max(watermark, (now_ms - age) // BUCKET_MS) for age in later]
        # A database that was away replays its batch log only now: the last pass does all again before the watermark moves.
        self._began_ms, self._again_from = now_ms, watermark

    async def _pass(self, number: int, until_ms: int) -> None:
        """Publish rows written before `until_ms`, in every bucket that this pass has not finished."""
        final = number == len(self._ages_ms) - 1
        if final and self._again_from and until_ms >= self._began_ms:
            self._next[number], self._again_from = self._again_from, 0
        first, last = self._next[number], until_ms // BUCKET_MS
        for start in range(first, last + 1, BUCKETS_PER_READ):
            end = min(start + BUCKETS_PER_READ - 1, last)
            if not await self._clear(start, end, until_ms, number):
                break
            # The bucket of `until_ms` is still filling: it is read again.
            self._next[number] = min(end + 1, last)
        if final and not self._again_from and self._next[number] > first:
            self._faults.at("outbox.relay.before_watermark")
            await self._table.move_watermark(self._next[number])
            self._faults.at("outbox.relay.after_watermark")

    async def _clear(self, first: int, last: int, until_ms: int, number: int) -> bool:
        """Publish and delete the rows of some buckets; whether all that were written before `until_ms` are."""
        while True:
            found = await self._table.rows(first, last)
            due = [row for row in found if row.created_ms <= until_ms]
            if due:
                await self._publish(due, number)
            if len(found) < ROWS_PER_READ:
                return True
            if not due:
                # Rows too young for this pass filled the answer: they make room as they grow older.
                return False

    async def _publish(self, rows: Sequence[OutboxRow], number: int) -> None:
        await self._bus.send([row.envelope for row in rows])
        log.info("relayed", rows=len(rows), relay_pass=number)
        self._faults.at("outbox.relay.after_publish")
        await self._table.delete([(row.shard, row.bucket, row.envelope.event_id) for row in rows])
