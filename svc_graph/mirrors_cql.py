"""The tables that mirror the follow edges, read whole, in CQL; what is wrong with a row is judged in repair.py."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from cql_client import Cql
from svc_graph.domain import Edge, Pair, Shard
from svc_graph.levels import Crowd, Level, listed_at, places, shard_of, slot_of
from svc_graph.levels_cql import CqlLevels
from svc_graph.slots_cql import Row
from svc_graph.stamps_cql import CqlStamps
from svc_graph.store import BEFORE_ALL
from svc_graph.time_lists import AFTER_ALL

_PARTITIONS = 500
_ROWS = 100


@dataclass(frozen=True, slots=True)
class Mirror:
    """One table. Its rows are held against the edges of a pair: the owner of the partition, and who is named in the row."""

    name: str
    partition: tuple[str, ...]
    row: tuple[str, str]
    """What the rows are ordered by, and the other of (follow_id, named account)."""
    descends: bool
    owner_follows: bool = False

    def pair(self, key: Sequence[Any], named: uuid.UUID) -> Pair:
        """The pair of a row."""
        return Pair(key[0], named) if self.owner_follows else Pair(named, key[0])


FOLLOWERS = Mirror("followers", ("followee_id", "level", "bucket"), ("follower_id", "follow_id"), descends=False)
FOLLOWING_BY_TIME = Mirror(
    "following_by_time", ("follower_id",), ("follow_id", "followee_id"), descends=True, owner_follows=True
)
FOLLOWERS_BY_TIME = Mirror("followers_by_time", ("followee_id",), ("follow_id", "follower_id"), descends=True)
FOLLOWERS_BY_SLOT = Mirror(
    "followers_by_slot", ("followee_id", "level", "slot"), ("follow_id", "follower_id"), descends=True
)
MIRRORS = (FOLLOWERS, FOLLOWING_BY_TIME, FOLLOWERS_BY_TIME, FOLLOWERS_BY_SLOT)
_EDGES = Mirror("follow_edges", ("follower_id",), ("followee_id", "followee_id"), descends=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A row of a mirror."""

    mirror: Mirror
    key: tuple[Any, ...]
    pair: Pair
    follow_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Lack:
    """A row that a follow should have in a mirror and has not."""

    mirror: Mirror
    row: Row


class CqlMirrors:
    """Reads everything, a page at a time, in an order that stays: by token, then by row."""

    def __init__(self, cql: Cql, levels: CqlLevels, stamps: CqlStamps) -> None:
        self._cql = cql
        self._stamps = stamps
        self._levels = levels
        prepare = cql.prepare
        self._first, self._next, self._rows, self._one, self._add, self._drop = {}, {}, {}, {}, {}, {}
        for mirror in (*MIRRORS, _EDGES):
            name, keys, marks = mirror.name, ", ".join(mirror.partition), ", ".join("?" * len(mirror.partition))
            ordered, other = mirror.row
            where = " AND ".join(f"{column} = ?" for column in mirror.partition)
            # Which partitions are there?
            self._first[name] = prepare(f"SELECT DISTINCT {keys} FROM {name} LIMIT {_PARTITIONS}")
            self._next[name] = prepare(
                f"SELECT DISTINCT {keys} FROM {name} WHERE token({keys}) > token({marks}) LIMIT {_PARTITIONS}"
            )
            if mirror is _EDGES:
                continue
            # Which rows are in one, and is a certain one?
            compared = "<" if mirror.descends else ">"
            self._rows[name] = prepare(
                f"SELECT {ordered}, {other} FROM {name} WHERE {where} AND {ordered} {compared} ? LIMIT {_ROWS}"
            )
            self._one[name] = prepare(f"SELECT {ordered}, {other} FROM {name} WHERE {where} AND {ordered} = ?")
            self._add[name] = prepare(f"INSERT INTO {name} ({keys}, {ordered}, {other}) VALUES ({marks}, ?, ?)")
            self._drop[name] = prepare(f"DELETE FROM {name} WHERE {where} AND {ordered} = ?")
        self._add_slot = prepare("INSERT INTO follower_slots (followee_id, level, slot) VALUES (?, ?, ?)")
        self._edges = prepare(
            "SELECT follower_id, followee_id, following, version FROM follow_edges"
            f" WHERE follower_id = ? AND followee_id > ? LIMIT {_ROWS}"
        )

    async def edges(self) -> AsyncIterator[list[Edge]]:
        """The whole truth, in pages."""
        async for (follower_id,) in self._partitions(_EDGES):
            after, full = BEFORE_ALL, True
            while full:
                rows = await self._cql.execute(self._edges, (follower_id, after))
                yield [Edge(Pair(row[0], row[1]), row[2], row[3]) for row in rows if row[3] is not None]
                full = len(rows) == _ROWS
                after = rows[-1][1] if rows else after

    async def rows(self, mirror: Mirror) -> AsyncIterator[list[Found]]:
        """All of a mirror, in pages."""
        at_name = int(mirror.descends)
        async for key in self._partitions(mirror):
            after, full = AFTER_ALL if mirror.descends else BEFORE_ALL, True
            while full:
                rows = await self._cql.execute(self._rows[mirror.name], (*key, after))
                yield [Found(mirror, key, mirror.pair(key, row[at_name]), row[1 - at_name]) for row in rows]
                full = len(rows) == _ROWS
                after = rows[-1][0] if rows else after

    async def still_there(self, rows: Sequence[Found]) -> list[Found]:
        """Those of the rows that are as they were."""
        checks = [
            self._has(row.mirror, [(*row.key, row.follow_id)], row.pair[int(row.mirror.owner_follows)])
            if row.mirror.descends
            else self._has(row.mirror, [(*row.key, row.pair.follower_id)], row.follow_id)
            for row in rows
        ]
        return [row for row, there in zip(rows, await asyncio.gather(*checks), strict=True) if there]

    async def lacks(self, edges: Sequence[Edge]) -> list[tuple[Edge, Lack]]:
        """What these follows lack."""
        levels = await self._levels.of({edge.pair.followee_id for edge in edges})
        found = await asyncio.gather(*(self._lacks(edge, levels[edge.pair.followee_id]) for edge in edges))
        return [(edge, lack) for edge, lacking in zip(edges, found, strict=True) for lack in lacking]

    async def store(self, lack: Lack, version: int) -> None:
        """Write the row that is lacking, at the version of its follow."""
        rows = [lack.row]
        if lack.mirror is FOLLOWERS_BY_SLOT:
            rows.append((self._add_slot, lack.row[1][:3]))
        async with self._stamps.changing(_crowds(lack.mirror, lack.row[1])):
            await self._cql.logged_batch(rows, timestamp_us=version)

    async def remove(self, found: Found, version: int) -> None:
        """Delete a row at a version: whatever was written later stays."""
        ordered = found.follow_id if found.mirror.descends else found.pair.follower_id
        async with self._stamps.changing(_crowds(found.mirror, found.key)):
            await self._cql.execute(self._drop[found.mirror.name], (*found.key, ordered), timestamp_us=version)

    async def _lacks(self, edge: Edge, level: Level) -> list[Lack]:
        (follower_id, followee_id), follow = edge.pair, edge.follow_id
        home = shard_of(follower_id, level.written)
        mirrored = [(followee_id, one.level, one.bucket, follower_id) for one in places(follower_id, level)]
        listed_0 = [(followee_id, follow)] if 0 in listed_at(follow, level) else []
        slots = [(followee_id, one, slot_of(follow, one), follow) for one in listed_at(follow, level) if one]
        checks = await asyncio.gather(
            self._has(FOLLOWERS, mirrored, follow),
            self._has(FOLLOWING_BY_TIME, [(follower_id, follow)], edge.pair.followee_id),
            self._has(FOLLOWERS_BY_TIME, listed_0, follower_id),
            self._has(FOLLOWERS_BY_SLOT, slots, follower_id),
        )
        lacking: list[Lack] = []
        if not checks[0]:
            lacking.append(self._lack(FOLLOWERS, (followee_id, home.level, home.bucket, follower_id, follow)))
        if not checks[1]:
            lacking.append(self._lack(FOLLOWING_BY_TIME, (follower_id, follow, followee_id)))
        if not (checks[2] or checks[3]):
            if slots:
                lacking.append(self._lack(FOLLOWERS_BY_SLOT, (*slots[-1], follower_id)))
            else:
                lacking.append(self._lack(FOLLOWERS_BY_TIME, (followee_id, follow, follower_id)))
        return lacking

    def _lack(self, mirror: Mirror, values: tuple[Any, ...]) -> Lack:
        return Lack(mirror, (self._add[mirror.name], values))

    async def _has(self, mirror: Mirror, keys: Sequence[tuple[Any, ...]], value: uuid.UUID) -> bool:
        """Whether one of the rows is there and says so."""
        answers = await asyncio.gather(*(self._cql.execute(self._one[mirror.name], key) for key in keys))
        return any(row[1] == value for rows in answers for row in rows)

    async def _partitions(self, mirror: Mirror) -> AsyncIterator[tuple[Any, ...]]:
        rows = await self._cql.execute(self._first[mirror.name])
        while rows:
            for row in rows:
                yield tuple(row)
            if len(rows) < _PARTITIONS:
                return
            rows = await self._cql.execute(self._next[mirror.name], tuple(rows[-1]))


def _crowds(mirror: Mirror, key: Sequence[Any]) -> list[Crowd]:
    """The partition of followers that a row lies in, whose kept pages are wrong once it changes."""
    return [Crowd(key[0], Shard(key[1], key[2]))] if mirror is FOLLOWERS else []
