"""The tables of an outbox: what the relay and the writer of rows need of them, and how they lie in CQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from cql_client import Cql, Statement
from runtime.bus import Envelope
from runtime.ids import Clock

BUCKET_MS = 10_000
SHARDS = 4
BUCKETS_PER_READ = 25
ROWS_PER_READ = 2000
COUNTED = 20_000
"""From so many rows on there are at least as many."""
_COUNTED_OF_EACH = 1000
_DELETE_AHEAD_US = 60_000_000

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
        """How many rows the buckets from `first` to `last` hold, and when the oldest was written, in milliseconds.

        None is only where there is none. Of more than 1,000 in one bucket and shard as many are counted, and the oldest may have been
        written some seconds before, within its bucket; from 20,000 on the rest is not counted.
        """

    async def delete(self, rows: Iterable[Sequence[Any]]) -> None:
        """Delete published rows (shard, bucket, event_id). A write of one that arrives late does not bring it back."""

    async def watermark(self) -> int:
        """The first bucket that the last pass has not finished; before any pass, the bucket in which the tables were made."""

    async def move_watermark(self, bucket: int) -> None:
        """Remember that everything before `bucket` is published. Two relays may move it back and forth; both are right."""


class CqlOutboxTable:
    """The tables `outbox` and `outbox_watermark` of an area's keyspace."""

    def __init__(self, cql: Cql, clock: Clock, counted: int = COUNTED) -> None:
        self._cql = cql
        self._counted = counted
        self._clock = clock
        self._insert = cql.prepare(
            "INSERT INTO outbox (shard, bucket, event_id, subject, payload, created_at) VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._read = cql.prepare(
            "SELECT shard, bucket, event_id, subject, payload, created_at FROM outbox"
            f" WHERE shard IN ? AND bucket IN ? LIMIT {ROWS_PER_READ}"
        )
        # Not COUNT(*): over several partitions the server warns of it each time, and reads all there is.
        self._times = cql.prepare(
            f"SELECT created_at FROM outbox WHERE shard IN ? AND bucket IN ? PER PARTITION LIMIT {_COUNTED_OF_EACH}"
        )
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
            times = [at_ms for (at_ms,) in await self._cql.execute(self._times, (range(SHARDS), buckets))]
            rows += len(times)
            oldest = min(times, default=None) if oldest is None else oldest
            if rows >= self._counted:
                break
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
