"""What is known of readers beside what was delivered to them, and the CQL table that keeps it; the homes themselves are in store.py."""

import uuid
from typing import Protocol

from aviary.timeline.v1.events_pb2 import ReaderSeen

from cql_client import Cql, until_acknowledged
from outbox import CqlOutbox
from runtime.ids import Clock
from svc_timeline.days import DAY_MS

KEPT_DAYS = 40
"""A reader of whom nothing is stored has not read for so long: longer than anybody counts as active."""
_ACKNOWLEDGED_WITHIN_S = 2.5


class HomeStates(Protocol):
    """One state for each reader."""

    async def last_read_day(self, user_id: bytes) -> int | None:
        """The latest day on which the reader is known to have read; None when that is 40 days ago, or was never.

        Sees every day that was acknowledged before.
        """

    async def set_read_day(self, user_id: bytes, day: int, announce: ReaderSeen) -> None:
        """Store that the reader read on a day, together with its announcement, or nothing. An earlier day than the stored one
        changes nothing but is announced.

        Raises Unavailable when it was not acknowledged in time; then it may be stored, now or a little later.
        """


class CqlHomeStates:
    """States in CQL, in one batch with the announcement."""

    def __init__(self, cql: Cql, outbox: CqlOutbox, clock: Clock) -> None:
        self._cql = cql
        self._outbox = outbox
        self._clock = clock
        # When did a reader last read?
        self._read_day = cql.prepare("SELECT last_read_day FROM home_state WHERE user_id = ?")
        self._set_read_day = cql.prepare("INSERT INTO home_state (user_id, last_read_day) VALUES (?, ?) USING TTL ?")

    async def last_read_day(self, user_id: bytes) -> int | None:
        """See HomeStates."""
        rows = await self._cql.execute(self._read_day, (uuid.UUID(bytes=user_id),))
        return rows[0][0] if rows else None

    async def set_read_day(self, user_id: bytes, day: int, announce: ReaderSeen) -> None:
        """See HomeStates. The day is the timestamp, so of two days the later stays, whoever writes last."""
        ttl_s = max(1, ((day + KEPT_DAYS) * DAY_MS - self._clock.now_ms()) // 1000)
        state = self._set_read_day, (uuid.UUID(bytes=user_id), day, ttl_s)
        rows = [state, self._outbox.row(announce)]
        written_us = day * DAY_MS * 1000
        await until_acknowledged(lambda: self._cql.logged_batch(rows, timestamp_us=written_us), _ACKNOWLEDGED_WITHIN_S)
