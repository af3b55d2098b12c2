"""The relay of an outbox: passes over the buckets at several ages, and a stored watermark. Writing rows is outbox.py."""

import asyncio
from collections.abc import Sequence

from outbox.table import BUCKET_MS, BUCKETS_PER_READ, ROWS_PER_READ, OutboxRow, OutboxTable
from runtime.bus import Bus
from runtime.errors import Unavailable
from runtime.faults import Faults
from runtime.ids import Clock
from runtime.telemetry import logger

_PAUSE_S = 1.0

log = logger(__name__)


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
