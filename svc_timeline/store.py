"""What the stored homes promise, and the CQL table that keeps it; the cached windows are in windows.py."""

import asyncio
import uuid
from collections.abc import Sequence
from itertools import chain
from typing import Protocol

from cql_client import Cql
from runtime.errors import Unavailable
from runtime.ids import WEEK_MS, Clock, ms_of, uuid7_of
from svc_timeline.domain import CLOCK_SKEW_MS, Entry, Span, uuid_at_or_after


class HomeStore(Protocol):
    """The stored home timelines."""

    async def add(self, user_ids: Sequence[bytes], entries: Sequence[Entry]) -> None:
        """Add every entry to the home of every user. Acknowledged when it returns; adding again changes nothing.

        An entry lives as long as homes reach back, counted from the time of its id; one that is older is not added.
        Raises Unavailable when some of it was not acknowledged; any part may be stored then.
        """

    async def read(self, user_id: bytes, span: Span, limit: int) -> list[Entry]:
        """Entries of a home whose ids lie in the span, newest first, each once; never more than `limit`.

        Fewer only when there are no more. Sees every add that was acknowledged. A home that is not known is an empty list.
        """

    async def is_empty(self) -> bool:
        """Whether it is certain that no home holds anything, as in a system that never ran before."""


class CqlHomeStore:
    """Homes in CQL: a page reads the newest week first, and older ones only if that is not enough."""

    def __init__(self, cql: Cql, clock: Clock, stored_ttl_s: int) -> None:
        self._cql = cql
        self._clock = clock
        self._ttl_s = stored_ttl_s
        # Fan-out and backfill: adds one entry to one home. The timestamp comes from the entry's id, so that a repeat
        # writes the same cells; the TTL ends at the same time whenever it is written.
        self._add = cql.prepare(
            "INSERT INTO home (user_id, week, entry_id, author_id, flags) VALUES (?, ?, ?, ?, ?) "
            "USING TTL ? AND TIMESTAMP ?"
        )
        # A page of a home: the newest entries of one week between two ids. One partition, in clustering order.
        self._page = cql.prepare(
            "SELECT entry_id, author_id, flags FROM home "
            "WHERE user_id = ? AND week = ? AND entry_id >= ? AND entry_id < ? LIMIT ?"
        )

        # Whether anything is stored: any one row.
        self._any = cql.prepare("SELECT user_id FROM home LIMIT 1")

    async def add(self, user_ids: Sequence[bytes], entries: Sequence[Entry]) -> None:
        """See HomeStore."""
        cells = [cell for entry in entries if (cell := self._cells(entry)) is not None]
        # One object for each value: what is the same as in the row before is serialized once.
        users = [uuid.UUID(bytes=user_id) for user_id in user_ids]
        rows = [(user, *cell) for user in users for cell in cells]
        if rows:
            await self._cql.write_rows(self._add, rows)

    async def read(self, user_id: bytes, span: Span, limit: int) -> list[Entry]:
        """See HomeStore."""
        now_ms = self._clock.now_ms()
        # Older rows have expired, and a read that met them would scan what is left of each. No id is from the future by more
        # than clocks differ.
        span = Span(max(span.low, uuid7_of(now_ms - self._ttl_s * 1000).bytes), span.high)
        oldest = ms_of(span.low) // WEEK_MS
        latest = min(ms_of(span.high), now_ms + CLOCK_SKEW_MS) // WEEK_MS
        weeks = range(latest, oldest - 1, -1)
        if limit < 1 or span.empty:
            return []
        # A busy home fills the page from one week or two; a quiet one is worth asking for all the rest at once.
        found: list[Entry] = []
        for some in (weeks[:1], weeks[1:2], weeks[2:]):
            if len(found) < limit:
                # Not a TaskGroup: its group of exceptions would hide from callers that the server is away.
                pages = await asyncio.gather(*(self._read_week(user_id, week, span, limit) for week in some))
                found.extend(chain.from_iterable(pages))
        return found[:limit]

    async def is_empty(self) -> bool:
        """See HomeStore. A table of expired rows alone may be too much for a read: that must keep no process from starting."""
        try:
            return not await self._cql.execute(self._any)
        except Unavailable:
            return False

    async def _read_week(self, user_id: bytes, week: int, span: Span, limit: int) -> list[Entry]:
        first = uuid_at_or_after(max(span.low, uuid7_of(week * WEEK_MS).bytes))
        end = uuid_at_or_after(min(span.high, uuid7_of((week + 1) * WEEK_MS).bytes))
        rows = await self._cql.execute(self._page, (uuid.UUID(bytes=user_id), week, first, end, limit))
        return [Entry(entry_id.bytes, author_id.bytes, flags) for entry_id, author_id, flags in rows]

    def _cells(self, entry: Entry) -> tuple[int, uuid.UUID, uuid.UUID, int, int, int] | None:
        """Week, entry, author, flags, TTL and timestamp of an entry's row; None when it would have expired."""
        created_ms = ms_of(entry.entry_id)
        ttl_s = created_ms // 1000 + self._ttl_s - self._clock.now_ms() // 1000
        if ttl_s <= 0:
            return None
        entry_id, author_id = uuid.UUID(bytes=entry.entry_id), uuid.UUID(bytes=entry.author_id)
        return created_ms // WEEK_MS, entry_id, author_id, entry.flags, ttl_s, created_ms * 1000
