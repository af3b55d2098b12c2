"""All that is counted, walked through slowly: every count, and every row of one. What is wrong in it, counting/recount.py finds."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from cql_client import Cql
from svc_engage.domain.relations import Count, Kind, Row, Subject
from svc_engage.store_cql import row_of

LEAST_TOKEN = -(2**63)
RESTS = 9.0
"""So many times as long as a page took rests who reads slowly: a tenth of the time is work."""


class Walked(NamedTuple):
    """Some counts, and where the walk goes on; None at the end."""

    counts: Mapping[Subject, Count]
    onwards: int | None


class Ledger(Protocol):
    """Reads for a recount. Every method raises Unavailable when the store is away."""

    async def walk(self, after: int, limit: int) -> Walked:
        """Counts of some subjects, all kinds of each, from LEAST_TOKEN on. Whatever was stored when a walk began is met in it."""

    async def walk_rows(self, after: int, limit: int) -> tuple[list[Subject], int | None]:
        """Some subjects that have rows at level 0, counted or not, from LEAST_TOKEN on; None at the end."""

    async def page(self, subject: Subject, shard: int, after: bytes, limit: int) -> list[tuple[bytes, Row]]:
        """Rows of one partition of a subject, ascending, members greater than `after` (empty: all). Fewer than `limit` only at the end."""


class CqlLedger:
    """The ledger on Cassandra or ScyllaDB."""

    def __init__(self, cql: Cql) -> None:
        self._cql = cql
        # Which counts are there, in the order of the store?
        self._walk = cql.prepare(
            "SELECT token(subject_id), subject_id, kind, count, as_of, level FROM counts"
            " WHERE token(subject_id) > ? LIMIT ?"
        )
        # Of whom are there rows, in the order of the store?
        self._walk_rows = cql.prepare(
            "SELECT DISTINCT token(subject_id, kind, shard), subject_id, kind, shard FROM edges"
            " WHERE token(subject_id, kind, shard) > ? LIMIT ?"
        )
        # What is stored of the members of a subject, in one of its partitions?
        self._page = cql.prepare(
            "SELECT member_id, counted, version, counted_at, present, at, since FROM edges"
            " WHERE subject_id = ? AND kind = ? AND shard = ? AND member_id > ? LIMIT ?"
        )

    async def walk(self, after: int, limit: int) -> Walked:
        """See Ledger. The last subject of a page may be cut off in the middle: it comes again."""
        limit = max(limit, len(Kind) + 1)
        rows = await self._cql.execute(self._walk, (after, limit))
        onwards = None
        if len(rows) == limit:
            rows = [row for row in rows if row[0] != rows[-1][0]]
            onwards = rows[-1][0]
        found = {
            Subject(s.bytes, Kind(kind)): Count(count or 0, as_of or 0, level or 0)
            for _, s, kind, count, as_of, level in rows
        }
        return Walked(found, onwards)

    async def walk_rows(self, after: int, limit: int) -> tuple[list[Subject], int | None]:
        """See Ledger."""
        rows = await self._cql.execute(self._walk_rows, (after, limit))
        found = [Subject(subject.bytes, Kind(kind)) for _, subject, kind, shard in rows if shard == 0]
        return found, rows[-1][0] if len(rows) == limit else None

    async def page(self, subject: Subject, shard: int, after: bytes, limit: int) -> list[tuple[bytes, Row]]:
        """See Ledger."""
        least = uuid.UUID(bytes=after or bytes(16))
        query = (uuid.UUID(bytes=subject.subject_id), subject.kind, shard, least, limit)
        return [(row[0].bytes, row_of(row[1:])) for row in await self._cql.execute(self._page, query)]


class PacedLedger:
    """A ledger for who has time: before it gives a page behind which there are more, it rests.

    A tweet that many like has hundreds of thousands of rows. Read at full speed they are more than half of what a process does, for
    a quarter of a minute, and whoever likes anything waits behind it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def walk(self, after: int, limit: int) -> Walked:
        """See Ledger."""
        return await self._ledger.walk(after, limit)

    async def walk_rows(self, after: int, limit: int) -> tuple[list[Subject], int | None]:
        """See Ledger."""
        return await self._ledger.walk_rows(after, limit)

    async def page(self, subject: Subject, shard: int, after: bytes, limit: int) -> list[tuple[bytes, Row]]:
        """See Ledger."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        rows = await self._ledger.page(subject, shard, after, limit)
        if len(rows) == limit:
            await asyncio.sleep((loop.time() - began) * RESTS)
        return rows
