"""On which days readers last read, and the CQL table that keeps it; what follows from it is in away.py."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Protocol

from cql_client import Cql
from runtime.ids import Clock
from svc_graph.away import DAY_MS
from svc_graph.store import parts

_DAYS = uuid.UUID(int=0)
"""In its row stands since when days are kept."""


class ReaderDays(Protocol):
    """One day for each reader, and one for all."""

    async def seen(self, reader_ids: Sequence[bytes]) -> dict[bytes, int]:
        """The latest day on which each is known to have read; whoever did not for longer than days are kept is absent.

        Sees every day that was acknowledged before.
        """

    async def put(self, reader_id: bytes, day: int) -> None:
        """The reader read on a day. An earlier day than the stored one changes nothing, and one that is not kept any more is not stored.

        Raises Unavailable when it was not acknowledged; then it may be stored, now or a little later.
        """

    async def kept_since(self) -> int | None:
        """The day since which no day is missing. None before `begin`, and after the days were lost: then it is lost, too."""

    async def begin(self, day: int) -> None:
        """From now on no day is missing."""


class CqlReaderDays:
    """Days in CQL. A day is its row's timestamp, so that of two the later stays, in whatever order they come."""

    def __init__(self, cql: Cql, clock: Clock, kept_days: int) -> None:
        """`kept_days`: for so long a day is of interest, some more than make a reader an absent one."""
        self._cql = cql
        self._clock = clock
        self._kept_days = kept_days
        # When did these readers last read?
        self._seen = cql.prepare("SELECT reader_id, day FROM reader_days WHERE reader_id IN ?")
        self._put = cql.prepare("INSERT INTO reader_days (reader_id, day) VALUES (?, ?) USING TTL ?")
        # Since when is that kept?
        self._since = cql.prepare("SELECT day FROM reader_days WHERE reader_id = ?")
        self._begin = cql.prepare("INSERT INTO reader_days (reader_id, day) VALUES (?, ?)")

    async def seen(self, reader_ids: Sequence[bytes]) -> dict[bytes, int]:
        """See ReaderDays. A query for each 100."""
        queries = [(part,) for part in parts([uuid.UUID(bytes=one) for one in reader_ids])]
        answers = await asyncio.gather(*(self._cql.execute(self._seen, query) for query in queries))
        return {row[0].bytes: row[1] for rows in answers for row in rows}

    async def put(self, reader_id: bytes, day: int) -> None:
        """See ReaderDays."""
        ttl_s = ((day + self._kept_days) * DAY_MS - self._clock.now_ms()) // 1000
        if ttl_s > 0:
            row = (uuid.UUID(bytes=reader_id), day, ttl_s)
            await self._cql.execute(self._put, row, timestamp_us=day * DAY_MS * 1000)

    async def kept_since(self) -> int | None:
        """See ReaderDays."""
        rows = await self._cql.execute(self._since, (_DAYS,))
        return rows[0][0] if rows else None

    async def begin(self, day: int) -> None:
        """See ReaderDays."""
        await self._cql.execute(self._begin, (_DAYS, day))
