"""Stamps tell whether anything changed in a partition of followers since a page of it was read; which pages are kept is in pages.py."""

import asyncio
import hashlib
import struct
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from cql_client import Cql
from runtime.errors import Unavailable
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_graph.levels import Crowd

KEPT_S = 3600
"""`default_time_to_live` of the table."""
_REMEMBERED = 10_000

log = logger(__name__)

Stamp: TypeAlias = bytes
"""Names how many changes each process began or ended in which partition: another state, or another partition, has another stamp."""


@dataclass(slots=True)
class _Writing:
    """What this process did in one partition lately. Who forgets it begins anew under another id."""

    writer: uuid.UUID = field(default_factory=uuid.uuid4)
    changes: int = 0
    pending: int = 0
    written_us: int = 0


class CqlStamps:
    """Each process has a row of its own in a partition's stamp, so no two ever write one cell, whatever their clocks say.

    A change is stamped as pending before its rows are written, and as ended when they are acknowledged. One of which nobody
    knows the outcome, or whose process died, stays pending for an hour: longer than a batch log can take to replay it.
    """

    def __init__(self, cql: Cql, clock: Clock) -> None:
        self._cql = cql
        self._clock = clock
        self._writing: dict[Crowd, _Writing] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._read = cql.prepare(
            "SELECT writer, changes, pending FROM follower_stamps WHERE followee_id = ? AND level = ? AND bucket = ?"
        )
        self._write = cql.prepare(
            "INSERT INTO follower_stamps (followee_id, level, bucket, writer, changes, pending) VALUES (?, ?, ?, ?, ?, ?)"
        )

    async def of(self, crowd: Crowd) -> Stamp | None:
        """The stamp as it is now; None while a change may be under way."""
        key = (crowd.followee_id, crowd.shard.level, crowd.shard.bucket)
        rows = await self._cql.execute(self._read, key)
        if any(pending for _, _, pending in rows):
            return None
        # In the order of their writers, in which the database has them.
        written = [part for writer, changes, _ in rows for part in (writer.bytes, changes.to_bytes(8))]
        place = struct.pack(">BH", crowd.shard.level, crowd.shard.bucket)
        return hashlib.blake2b(b"".join([crowd.followee_id.bytes, place, *written]), digest_size=16).digest()

    @asynccontextmanager
    async def changing(self, crowds: Collection[Crowd]) -> AsyncIterator[None]:
        """Around the write that changes rows of these partitions. Raises Unavailable, and then nothing may be written."""
        if not crowds:
            yield
            return
        states = {crowd: self._state(crowd) for crowd in crowds}
        try:
            for state in states.values():
                state.pending += 1
            await asyncio.gather(*(self._stamp(crowd, state) for crowd, state in states.items()))
            yield
        except BaseException:
            # Perhaps it was written all the same, now or later: the row that says so is left as it is.
            for crowd, state in states.items():
                if self._writing.get(crowd) is state:
                    del self._writing[crowd]
            raise
        for crowd, state in states.items():
            state.pending -= 1
            task = asyncio.create_task(self._end(crowd, state))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _state(self, crowd: Crowd) -> _Writing:
        state = self._writing.pop(crowd, None) or _Writing()
        self._writing[crowd] = state
        if len(self._writing) > _REMEMBERED:
            oldest = next(iter(self._writing))
            if not self._writing[oldest].pending:
                del self._writing[oldest]
        return state

    async def _stamp(self, crowd: Crowd, state: _Writing) -> None:
        state.changes += 1
        state.written_us = max(self._clock.now_us(), state.written_us + 1)
        key = (crowd.followee_id, crowd.shard.level, crowd.shard.bucket, state.writer)
        await self._cql.execute(self._write, (*key, state.changes, state.pending), timestamp_us=state.written_us)

    async def _end(self, crowd: Crowd, state: _Writing) -> None:
        try:
            await self._stamp(crowd, state)
        except Unavailable:
            # Pages of this partition are read fresh until its next change, or for an hour.
            log.warning("stamp_left_pending", level=crowd.shard.level)
