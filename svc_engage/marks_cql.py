"""What users marked, and the lists of it, in CQL: reading the lists against the states, and clearing what a lost race left in them."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any

from cql_client import Cql, Statement, until_acknowledged
from runtime.errors import Unavailable
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_engage.domain.levels import shard_of
from svc_engage.domain.marks import (
    UNMARKED,
    LikeSetting,
    LikeState,
    Listed,
    Mark,
    MarkKind,
    Placed,
    PlacedLiker,
    list_years,
    listed_at,
    marks_of,
    outlived,
    year_begins,
    year_of,
    year_of_ms,
)
from svc_engage.domain.relations import NEVER, Kind, Row, Subject

Write = tuple[Statement, Sequence[Any]]
RowsOf = Callable[[Subject, int, Collection[bytes]], Awaitable[dict[bytes, Row]]]

IN_ONE_QUERY = 100
"""ScyllaDB takes no more clustering keys in one query."""
ACKNOWLEDGED_WITHIN_S = 2.5
_FIRST = 0x7FFF_FFFF_FFFF_FFFF
_NOBODY = bytes(16)
_LEAST = 50
"""Rows of a list that are read at once at least: where lost races left many, each for itself would be a query."""

log = logger(__name__)


def parts(ids: Collection[bytes]) -> Iterator[list[uuid.UUID]]:
    """The ids as many at a time as one query takes."""
    every = [uuid.UUID(bytes=one) for one in ids]
    for start in range(0, len(every), IN_ONE_QUERY):
        yield every[start : start + IN_ONE_QUERY]


class CqlMarks:
    """The part of EngageStore that is about marks.

    Every cell has the timestamp of its state's `at`. A row of a list has the place at which a state began as its key, and counts
    only while the state that is stored is present and began there. States that repeat it write it again at their own `at`, so the
    end of an earlier one does not delete it. Rows of lists are acknowledged before the state that they show is written: two who
    write one state, having read different ones before, leave two rows, and whichever beginning stays has its row. A row that is
    of no use is deleted at its own timestamp: that hits no later write, and no late copy of it can come back.
    """

    def __init__(self, cql: Cql, clock: Clock, rows_of: RowsOf) -> None:
        """`rows_of` gives the rows of members of a subject, looked for at all levels up to one."""
        self._cql, self._clock, self._rows_of = cql, clock, rows_of
        columns = "tweet_id, present, at, delta, author_id, since"
        one_year = "FROM marks WHERE user_id = ? AND kind = ? AND year = ?"
        # What did a user do with these tweets of one year?
        self._marks = cql.prepare(f"SELECT {columns} {one_year} AND tweet_id IN ?")
        # What did a user do with the newest tweets of one year?
        self._newest = cql.prepare(f"SELECT {columns} {one_year} LIMIT ?")
        # What did a user mark in one year, latest first?
        self._marked = cql.prepare(
            "SELECT since, tweet_id, author_id, marked_ms, at FROM marks_by_time"
            " WHERE user_id = ? AND kind = ? AND year = ? AND (since, tweet_id) < (?, ?) LIMIT ?"
        )
        # Who liked a tweet, latest first?
        self._likers = cql.prepare(
            "SELECT since, user_id, at FROM likers"
            " WHERE tweet_id = ? AND bucket = ? AND (since, user_id) < (?, ?) LIMIT ?"
        )
        # In which minutes was a tweet liked?
        self._buckets = cql.prepare(
            "SELECT bucket FROM liker_buckets WHERE tweet_id = ? AND bucket <= ? AND bucket > 0 LIMIT ?"
        )
        self._put_mark = cql.prepare(
            "INSERT INTO marks (user_id, kind, year, tweet_id, present, at, delta, author_id, since)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._list_mark = cql.prepare(
            "INSERT INTO marks_by_time (user_id, kind, year, since, tweet_id, author_id, marked_ms, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._unlist_mark = cql.prepare(
            "DELETE FROM marks_by_time USING TIMESTAMP ?"
            " WHERE user_id = ? AND kind = ? AND year = ? AND since = ? AND tweet_id = ?"
        )
        self._list_liker = cql.prepare(
            "INSERT INTO likers (tweet_id, bucket, since, user_id, at) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._unlist_liker = cql.prepare(
            "DELETE FROM likers USING TIMESTAMP ? WHERE tweet_id = ? AND bucket = ? AND since = ? AND user_id = ?"
        )
        self._list_bucket = cql.prepare("INSERT INTO liker_buckets (tweet_id, bucket) VALUES (?, ?)")
        self._put_edge = cql.prepare(
            "INSERT INTO edges (subject_id, kind, shard, member_id, present, at, since)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
        )

    async def mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes) -> Mark:
        """See EngageStore."""
        return (await self.marks(user_id, kind, [tweet_id])).get(tweet_id, UNMARKED)

    async def marks(self, user_id: bytes, kind: MarkKind, tweet_ids: Collection[bytes]) -> dict[bytes, Mark]:
        """See EngageStore. One query for each year and 100 tweets."""
        years: dict[int, set[bytes]] = defaultdict(set)
        for tweet_id in tweet_ids:
            years[year_of(tweet_id)].add(tweet_id)
        user = uuid.UUID(bytes=user_id)
        queries = [(user, kind, year, part) for year, ids in years.items() for part in parts(ids)]
        answers = await asyncio.gather(*(self._cql.execute(self._marks, query) for query in queries))
        return {row[0].bytes: _mark(row) for rows in answers for row in rows}

    async def newest_marks(
        self, user_id: bytes, kind: MarkKind, limit: int, this_year: int
    ) -> tuple[dict[bytes, Mark], bytes]:
        """See EngageStore."""
        found: dict[bytes, Mark] = {}
        for year in (this_year, this_year - 1):
            query = (uuid.UUID(bytes=user_id), kind, year, limit - len(found))
            found |= {row[0].bytes: _mark(row) for row in await self._cql.execute(self._newest, query)}
            if len(found) >= limit:
                return found, min(found)
        return found, year_begins(this_year - 1)

    async def list_likes(self, likes: Sequence[LikeSetting]) -> None:
        """See EngageStore. One request, however many likes, but for those of the first days of a year."""
        first, marks = list[Write](), list[Write]()
        for (like, before, _), mark in marks_of(likes):
            pair = (like.user_id, MarkKind.LIKE, like.tweet_id)
            first += self._liker_writes(like, before, mark)
            first += self._list_writes(*pair, before, mark)
            # A row of a list and the state that it shows are one partition in all but the first days of a year: written at once.
            listed_ms = mark.marked_ms if mark.present else before.marked_ms
            together = year_of_ms(listed_ms) == year_of(like.tweet_id)
            (first if together else marks).append(self._mark_write(*pair, mark))
        await self._acknowledged(first, marks)

    async def state_likes(self, likes: Sequence[LikeSetting]) -> None:
        """See EngageStore. One request."""
        edges = list[Write]()
        for (like, _, _), mark in marks_of(likes):
            tweet, user = uuid.UUID(bytes=like.tweet_id), uuid.UUID(bytes=like.user_id)
            shard = shard_of(like.level, like.user_id)
            edges.append((self._put_edge, (tweet, Kind.LIKES, shard, user, mark.present, mark.at, mark.since, mark.at)))
        await self._acknowledged(edges)

    async def _acknowledged(self, *parts: Sequence[Write]) -> None:
        """Write the parts one after the other; repeated while nobody acknowledged it, for repeating writes the same cells."""

        async def write() -> None:
            for writes in filter(None, parts):
                await self._cql.write_all(writes)

        await until_acknowledged(write, ACKNOWLEDGED_WITHIN_S)

    async def set_bookmark(self, user_id: bytes, tweet_id: bytes, before: Mark, after: Mark) -> None:
        """See EngageStore. One logged batch, repeated while nobody acknowledged it."""
        pair = (user_id, MarkKind.BOOKMARK, tweet_id)
        writes = [*self._list_writes(*pair, before, after), self._mark_write(*pair, after)]
        await until_acknowledged(lambda: self._cql.logged_batch(writes), ACKNOWLEDGED_WITHIN_S)

    async def list_marked(self, user_id: bytes, kind: MarkKind, after: Placed | None, limit: int) -> list[Listed]:
        """See EngageStore. Year by year; none before the one in which the account was made."""
        found: list[Listed] = []
        for year in list_years(user_id, after, self._clock.now_ms()):
            place = after if after is not None and after.year == year else Placed(year, _FIRST, _NOBODY)
            while len(found) < limit:
                wanted = max(limit - len(found), _LEAST)
                rows = await self._marked_rows(user_id, kind, place, wanted)
                found += await self._current_marks(user_id, kind, rows)
                if len(rows) < wanted:
                    break
                place = rows[-1][0].place
        return found[:limit]

    async def list_likers(
        self, tweet_id: bytes, level: int, after: PlacedLiker | None, limit: int
    ) -> list[PlacedLiker]:
        """See EngageStore. Minute by minute where there are such, then the likers of the time before."""
        found: list[PlacedLiker] = []
        bucket: int | None = after.bucket if after else await self._bucket_from(tweet_id, level, 0x7FFF_FFFF)
        while bucket is not None and len(found) < limit:
            place = after if after is not None and after.bucket == bucket else PlacedLiker(bucket, _FIRST, _NOBODY)
            while len(found) < limit:
                wanted = max(limit - len(found), _LEAST)
                rows = await self._liker_rows(tweet_id, place, wanted)
                found += await self._current_likers(tweet_id, level, rows)
                if len(rows) < wanted:
                    break
                place = rows[-1][0]
            bucket = await self._bucket_from(tweet_id, level, bucket - 1) if bucket else None
        return found[:limit]

    def _mark_write(self, user_id: bytes, kind: MarkKind, tweet_id: bytes, mark: Mark) -> Write:
        author = uuid.UUID(bytes=mark.author_id) if mark.author_id else None
        # One cell, so that of two who write the same state one's beginning stays whole.
        since = (mark.since, mark.marked_ms, mark.bucket)
        key = (uuid.UUID(bytes=user_id), kind, year_of(tweet_id), uuid.UUID(bytes=tweet_id))
        return self._put_mark, (*key, mark.present, mark.at, mark.delta, author, since, mark.at)

    def _list_writes(
        self, user_id: bytes, kind: MarkKind, tweet_id: bytes, before: Mark, mark: Mark
    ) -> Iterator[Write]:
        if mark.present:
            user, tweet, author = (uuid.UUID(bytes=one) for one in (user_id, tweet_id, mark.author_id))
            place = (user, kind, year_of_ms(mark.marked_ms), mark.since, tweet)
            yield self._list_mark, (*place, author, mark.marked_ms, mark.at, mark.at)
        elif before.present:
            yield self._drop_mark(user_id, kind, Placed(year_of_ms(before.marked_ms), before.since, tweet_id), mark.at)

    def _liker_writes(self, like: LikeState, before: Mark, mark: Mark) -> Iterator[Write]:
        if mark.present:
            tweet, user = uuid.UUID(bytes=like.tweet_id), uuid.UUID(bytes=like.user_id)
            yield self._list_liker, (tweet, mark.bucket, mark.since, user, mark.at, mark.at)
            if mark.bucket:
                yield self._list_bucket, (tweet, mark.bucket)
        elif before.present:
            yield self._drop_liker(like.tweet_id, PlacedLiker(before.bucket, before.since, like.user_id), mark.at)

    def _drop_mark(self, user_id: bytes, kind: MarkKind, place: Placed, at: int) -> Write:
        user, tweet = uuid.UUID(bytes=user_id), uuid.UUID(bytes=place.tweet_id)
        return self._unlist_mark, (at, user, kind, place.year, place.since, tweet)

    def _drop_liker(self, tweet_id: bytes, place: PlacedLiker, at: int) -> Write:
        tweet, user = uuid.UUID(bytes=tweet_id), uuid.UUID(bytes=place.user_id)
        return self._unlist_liker, (at, tweet, place.bucket, place.since, user)

    async def _marked_rows(self, user_id: bytes, kind: MarkKind, after: Placed, limit: int) -> list[tuple[Listed, int]]:
        query = (uuid.UUID(bytes=user_id), kind, after.year, after.since, uuid.UUID(bytes=after.tweet_id), limit)
        return [
            (Listed(Placed(after.year, since, tweet.bytes), author.bytes, marked_ms), at)
            for since, tweet, author, marked_ms, at in await self._cql.execute(self._marked, query)
        ]

    async def _current_marks(self, user_id: bytes, kind: MarkKind, rows: Sequence[tuple[Listed, int]]) -> list[Listed]:
        states = await self.marks(user_id, kind, {row.tweet_id for row, _ in rows})
        judged = [(row, at, states.get(row.tweet_id, UNMARKED)) for row, at in rows]
        await self._clear(
            [
                self._drop_mark(user_id, kind, row.place, at)
                for row, at, state in judged
                if outlived(state, at, row.place.since)
            ]
        )
        return [row for row, _, state in judged if listed_at(state, row.place.since)]

    async def _bucket_from(self, tweet_id: bytes, level: int, latest: int) -> int | None:
        """The latest bucket up to `latest`."""
        if not level:
            return 0
        rows = await self._cql.execute(self._buckets, (uuid.UUID(bytes=tweet_id), latest, 1))
        return rows[0][0] if rows else 0

    async def _liker_rows(self, tweet_id: bytes, after: PlacedLiker, limit: int) -> list[tuple[PlacedLiker, int]]:
        query = (uuid.UUID(bytes=tweet_id), after.bucket, after.since, uuid.UUID(bytes=after.user_id), limit)
        rows = await self._cql.execute(self._likers, query)
        return [(PlacedLiker(after.bucket, since, user.bytes), at) for since, user, at in rows]

    async def _current_likers(
        self, tweet_id: bytes, level: int, rows: Sequence[tuple[PlacedLiker, int]]
    ) -> list[PlacedLiker]:
        members = {row.user_id for row, _ in rows}
        states = await self._rows_of(Subject(tweet_id, Kind.LIKES), level, members) if members else {}
        judged = [(row, at, states.get(row.user_id, NEVER)) for row, at in rows]
        await self._clear(
            [self._drop_liker(tweet_id, row, at) for row, at, state in judged if outlived(state, at, row.since)]
        )
        return [row for row, _, state in judged if listed_at(state, row.since)]

    async def _clear(self, drops: Sequence[Write]) -> None:
        try:
            await asyncio.gather(*(self._cql.execute(statement, values) for statement, values in drops))
        except Unavailable as error:
            log.warning("replaced_rows_left", rows=len(drops), error=error.detail)


def _mark(row: Sequence[Any]) -> Mark:
    _, present, at, delta, author, (since, marked_ms, bucket) = row
    return Mark(present, at, delta, author.bytes if author else b"", marked_ms, bucket, since)
