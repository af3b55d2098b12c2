"""EngageStore on Cassandra or ScyllaDB: counts, rows and positions here; what users marked and the lists of it in marks_cql.py."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from cql_client import Cql
from runtime.ids import Clock
from svc_engage.domain.levels import shard_of
from svc_engage.domain.relations import Count, Kind, Row, Subject, merged
from svc_engage.marks_cql import CqlMarks, parts
from svc_engage.store import Counted, Position

SCHEMA = Path(__file__).parent / "schema"

T = TypeVar("T")
Partition = tuple[Subject, int]
"""A subject and a shard."""

_TIMES_FROM_US = 1_577_836_800_000_000
"""2020-01-01: twice the time since then is in the past until 2070. ScyllaDB refuses timestamps that are days in the future."""

_AT_ONCE = 2
"""Reads in flight of one batch: one that is carried out, and one that is decoded. Who likes something waits behind them."""


class CqlEngageStore(CqlMarks):
    """The store in CQL. Each cell has the place of what it says as its timestamp, so the order of writes does not matter."""

    def __init__(self, cql: Cql, clock: Clock) -> None:
        super().__init__(cql, clock, self._rows_of_one)
        self._cql = cql
        # What are the counts of these tweets or users?
        self._counts = cql.prepare("SELECT subject_id, kind, count, as_of, level FROM counts WHERE subject_id IN ?")
        self._put_count = cql.prepare(
            "INSERT INTO counts (subject_id, kind, count, as_of) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._put_level = cql.prepare("INSERT INTO counts (subject_id, kind, level) VALUES (?, ?, ?) USING TIMESTAMP ?")
        # What is stored of these members of a subject, in one of its partitions?
        self._rows = cql.prepare(
            "SELECT member_id, counted, version, counted_at, present, at, since FROM edges"
            " WHERE subject_id = ? AND kind = ? AND shard = ? AND member_id IN ?"
        )
        self._put_counted = cql.prepare(
            "INSERT INTO edges (subject_id, kind, shard, member_id, counted, version, counted_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
        )
        # How far is a partition counted, how far are all of a durable?
        self._position = cql.prepare("SELECT place FROM positions WHERE durable = ? AND partition = ?")
        self._positions = cql.prepare("SELECT partition, place FROM positions WHERE durable = ?")
        self._put_position = cql.prepare(
            "INSERT INTO positions (durable, partition, place) VALUES (?, ?, ?) USING TIMESTAMP ?"
        )

    async def counts(self, subjects: Collection[Subject]) -> dict[Subject, Count]:
        """See EngageStore."""
        wanted = set(subjects)
        ids = {subject.subject_id for subject in wanted}
        answers = await _bounded(partial(self._cql.execute, self._counts, (part,)) for part in parts(ids))
        found = {
            Subject(subject.bytes, Kind(kind)): Count(count or 0, as_of or 0, level or 0)
            for rows in answers
            for subject, kind, count, as_of, level in rows
        }
        return {subject: count for subject, count in found.items() if subject in wanted}

    async def put_counts(self, counts: Mapping[Subject, Count], repaired: bool = False) -> None:
        """See EngageStore."""
        # At a timestamp of its own: whoever counts further without having seen that the rows are split does not hide those. And first:
        # who died in between has stored no count yet, so it is stored again, and no row is where nobody looks.
        levels = [
            (uuid.UUID(bytes=subject_id), kind, count.level, count.level)
            for (subject_id, kind), count in counts.items()
            if count.level
        ]
        if levels:
            await self._cql.write_rows(self._put_level, levels)
        rows = [
            (
                uuid.UUID(bytes=subject_id),
                kind,
                count.count,
                count.as_of,
                written_at(count.as_of, repaired),
            )
            for (subject_id, kind), count in counts.items()
        ]
        await self._cql.write_rows(self._put_count, rows)

    async def rows(
        self, wanted: Mapping[Subject, Collection[bytes]], levels: Mapping[Subject, int]
    ) -> dict[Subject, dict[bytes, Row]]:
        """See EngageStore. One query for each partition and 100 of its members."""
        found: dict[Subject, dict[bytes, Row]] = {subject: {} for subject in wanted}
        answers = await _bounded(
            partial(self._rows_in, (subject, shard), part)
            for (subject, shard), members in _by_partition(wanted, levels).items()
            for part in parts(members)
        )
        for subject, rows in answers:
            known = found[subject]
            for member, row in rows.items():
                known[member] = merged(known[member], row) if member in known else row
        return found

    async def put_counted(self, rows: Sequence[Counted], repaired: bool = False) -> None:
        """See EngageStore."""
        await self._cql.write_rows(
            self._put_counted,
            [
                (
                    uuid.UUID(bytes=subject.subject_id),
                    subject.kind,
                    shard_of(level, member),
                    uuid.UUID(bytes=member),
                    row.counted,
                    row.version,
                    row.counted_at,
                    written_at(row.counted_at, repaired),
                )
                for subject, member, level, row in rows
            ],
        )

    async def position(self, durable: str, partition: int) -> int:
        """See EngageStore."""
        rows = await self._cql.execute(self._position, (durable, partition))
        return rows[0][0] if rows else 0

    async def positions(self, durable: str) -> dict[int, int]:
        """See EngageStore."""
        return dict(await self._cql.execute(self._positions, (durable,)))

    async def put_positions(self, positions: Collection[Position]) -> None:
        """See EngageStore."""
        await self._cql.write_rows(self._put_position, [(*one, one.place) for one in positions])

    async def _rows_of_one(self, subject: Subject, level: int, members: Collection[bytes]) -> dict[bytes, Row]:
        return (await self.rows({subject: members}, {subject: level}))[subject]

    async def _rows_in(self, partition: Partition, members: list[uuid.UUID]) -> tuple[Subject, dict[bytes, Row]]:
        subject, shard = partition
        query = (uuid.UUID(bytes=subject.subject_id), subject.kind, shard, members)
        rows = await self._cql.execute(self._rows, query)
        return subject, {row[0].bytes: row_of(row[1:]) for row in rows}


def written_at(place: int, repaired: bool = False) -> int:
    """The write timestamp of what is true at a place: they are two apart, so that a repair fits between two places."""
    return 2 * (place - _TIMES_FROM_US) + repaired


async def _bounded(reads: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """The answers, in order, of many reads of which only some are in flight at once."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(read: Callable[[], Awaitable[T]]) -> T:
        async with places:
            return await read()

    return await asyncio.gather(*map(one, reads))


def row_of(columns: Sequence[bool | int | None]) -> Row:
    """A row from counted, version, counted_at, present, at, since; whoever did not write yet left nulls."""
    counted, version, counted_at, present, at, since = columns
    return Row(bool(counted), version or 0, counted_at or 0, bool(present), at or 0, since or 0)


def _by_partition(
    wanted: Mapping[Subject, Collection[bytes]], levels: Mapping[Subject, int]
) -> dict[Partition, list[bytes]]:
    found: dict[Partition, list[bytes]] = defaultdict(list)
    for subject, members in wanted.items():
        for level in range(levels.get(subject, 0) + 1):
            for member in members:
                found[subject, shard_of(level, member)].append(member)
    return found
