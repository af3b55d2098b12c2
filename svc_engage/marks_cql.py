"""What users marked, and the lists of it, in CQL: reading the lists against the states, and clearing what a lost race left in them."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, TypeVar

from runtime.cql import Cql, Statement, until_acknowledged
from runtime.errors import Unavailable
from runtime.ids import Clock
from runtime.telemetry import logger
from svc_engage.domain.levels import shard_of
from svc_engage.domain.marks import (
    UNMARKED,
    LikeState,
    Listed,
    Mark,
    MarkKind,
    Placed,
    PlacedLiker,
    list_years,
    year_begins,
    year_of,
    year_of_ms,
)
from svc_engage.domain.relations import Kind, Row, Subject

Write = tuple[Statement, Sequence[Any]]
Entry = TypeVar("Entry", Listed, PlacedLiker)
RowsOf = Callable[[Subject, int, Collection[bytes]], Awaitable[dict[bytes, Row]]]

IN_ONE_QUERY = 100
"""ScyllaDB takes no more clustering keys in one query."""
ACKNOWLEDGED_WITHIN_S = 2.5
_FIRST = 0x7FFF_FFFF_FFFF_FFFF
_NOBODY = bytes(16)

log = logger(__name__)


def parts(ids: Collection[bytes]) -> Iterator[list[uuid.UUID]]:
    """The ids as many at a time as one query takes."""
    every = [uuid.UUID(bytes=one) for one in ids]
    for start in range(0, len(every), IN_ONE_QUERY):
        yield every[start : start + IN_ONE_QUERY]


class CqlMarks:
    """The part of EngageStore that is about marks.

    Every cell has the timestamp of its state's `at`. A row of a list counts only while its `at` is that of the state; one that
    was replaced is deleted at its own timestamp: that hits no other write, and no late copy of it can come back.
    """

    def __init__(self, cql: Cql, clock: Clock, rows_of: RowsOf) -> None:
        """`rows_of` gives the rows of members of a subject, looked for at all levels up to one."""
        self._cql = cql
        self._clock = clock
        self._rows_of = rows_of
        columns = "tweet_id, present, at, delta, author_id, marked_ms, bucket"
        one_year = "FROM marks WHERE user_id = ? AND kind = ? AND year = ?"
        # What did a user do with these tweets of one year?
        self._marks = cql.prepare(f"SELECT {columns} {one_year} AND tweet_id IN ?")
        # What did a user do with the newest tweets of one year?
        self._newest = cql.prepare(f"SELECT {columns} {one_year} LIMIT ?")
        # What did a user mark in one year, latest first?
        self._marked = cql.prepare(
            "SELECT at, tweet_id, author_id, marked_ms FROM marks_by_time"
            " WHERE user_id = ? AND kind = ? AND year = ? AND (at, tweet_id) < (?, ?) LIMIT ?"
        )
        # Who liked a tweet, latest first?
        self._likers = cql.prepare(
            "SELECT at, user_id FROM likers WHERE tweet_id = ? AND bucket = ? AND (at, user_id) < (?, ?) LIMIT ?"
        )
        # In which minutes was a tweet liked?
        self._buckets = cql.prepare(
            "SELECT bucket FROM liker_buckets WHERE tweet_id = ? AND bucket <= ? AND bucket > 0 LIMIT ?"
        )
        self._put_mark = cql.prepare(
            "INSERT INTO marks (user_id, kind, year, tweet_id, present, at, delta, author_id, marked_ms, bucket)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._list_mark = cql.prepare(
            "INSERT INTO marks_by_time (user_id, kind, year, at, tweet_id, author_id, marked_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._unlist_mark = cql.prepare(
            "DELETE FROM marks_by_time USING TIMESTAMP ? WHERE user_id = ? AND kind = ? AND year = ? AND at = ? AND tweet_id = ?"
        )
        self._list_liker = cql.prepare(
            "INSERT INTO likers (tweet_id, bucket, at, user_id) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
        )
        self._unlist_liker = cql.prepare(
            "DELETE FROM likers USING TIMESTAMP ? WHERE tweet_id = ? AND bucket = ? AND at = ? AND user_id = ?"
        )
        self._list_bucket = cql.prepare("INSERT INTO liker_buckets (tweet_id, bucket) VALUES (?, ?)")
        self._put_edge = cql.prepare(
            "INSERT INTO edges (subject_id, kind, shard, member_id, present, at) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
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

    async def set_like(self, like: LikeState, before: Mark, delta: int) -> None:
        """See EngageStore. Repeated while nobody acknowledged it: repeating writes the same cells."""
        if before.at > like.at:
            return
        mark, tweet, user = like.mark(delta), uuid.UUID(bytes=like.tweet_id), uuid.UUID(bytes=like.user_id)
        lists = list(self._mark_writes(like.user_id, MarkKind.LIKE, like.tweet_id, before, mark))
        if mark.present:
            lists.append((self._list_liker, (tweet, mark.bucket, mark.at, user, mark.at)))
            if mark.bucket:
                lists.append((self._list_bucket, (tweet, mark.bucket)))
        if before.present and before.at != mark.at:
            lists.append((self._unlist_liker, (before.at, tweet, before.bucket, before.at, user)))
        edge = (tweet, Kind.LIKES, shard_of(like.level, like.user_id), user, like.liked, like.at, like.at)

        async def write() -> None:
            await asyncio.gather(*(self._cql.execute(statement, values) for statement, values in lists))
            await self._cql.execute(self._put_edge, edge)

        await until_acknowledged(write, ACKNOWLEDGED_WITHIN_S)

    async def set_bookmark(self, user_id: bytes, tweet_id: bytes, before: Mark, after: Mark) -> None:
        """See EngageStore. One logged batch, repeated while nobody acknowledged it."""
        writes = list(self._mark_writes(user_id, MarkKind.BOOKMARK, tweet_id, before, after))
        await until_acknowledged(lambda: self._cql.logged_batch(writes), ACKNOWLEDGED_WITHIN_S)

    async def list_marked(self, user_id: bytes, kind: MarkKind, after: Placed | None, limit: int) -> list[Listed]:
        """See EngageStore. Year by year; none before the one in which the account was made."""
        found: list[Listed] = []
        for year in list_years(user_id, after, self._clock.now_ms()):
            place = after if after is not None and after.year == year else Placed(year, _FIRST, _NOBODY)
            while len(found) < limit:
                wanted = limit - len(found)
                rows = await self._marked_rows(user_id, kind, place, wanted)
                found += await self._current_marks(user_id, kind, rows)
                if len(rows) < wanted:
                    break
                place = rows[-1].place
        return found

    async def list_likers(
        self, tweet_id: bytes, level: int, after: PlacedLiker | None, limit: int
    ) -> list[PlacedLiker]:
        """See EngageStore. Minute by minute where there are such, then the likers of the time before."""
        found: list[PlacedLiker] = []
        bucket: int | None = after.bucket if after else await self._bucket_from(tweet_id, level, 0x7FFF_FFFF)
        while bucket is not None and len(found) < limit:
            place = after if after is not None and after.bucket == bucket else PlacedLiker(bucket, _FIRST, _NOBODY)
            while len(found) < limit:
                wanted = limit - len(found)
                rows = await self._liker_rows(tweet_id, place, wanted)
                found += await self._current_likers(tweet_id, level, rows)
                if len(rows) < wanted:
                    break
                place = rows[-1]
            bucket = await self._bucket_from(tweet_id, level, bucket - 1) if bucket else None
        return found

    def _mark_writes(
        self, user_id: bytes, kind: MarkKind, tweet_id: bytes, before: Mark, after: Mark
    ) -> Iterator[Write]:
        user, tweet = uuid.UUID(bytes=user_id), uuid.UUID(bytes=tweet_id)
        author = uuid.UUID(bytes=after.author_id) if after.author_id else None
        state = (after.present, after.at, after.delta, author, after.marked_ms, after.bucket)
        yield self._put_mark, (user, kind, year_of(tweet_id), tweet, *state, after.at)
        if after.present:
            place = (user, kind, year_of_ms(after.marked_ms), after.at, tweet)
            yield self._list_mark, (*place, author, after.marked_ms, after.at)
        if before.present and before.at != after.at:
            yield self._drop(user_id, kind, Placed(year_of_ms(before.marked_ms), before.at, tweet_id))

    def _drop(self, user_id: bytes, kind: MarkKind, place: Placed) -> Write:
        user, tweet = uuid.UUID(bytes=user_id), uuid.UUID(bytes=place.tweet_id)
        return self._unlist_mark, (place.at, user, kind, place.year, place.at, tweet)

    async def _marked_rows(self, user_id: bytes, kind: MarkKind, after: Placed, limit: int) -> list[Listed]:
        query = (uuid.UUID(bytes=user_id), kind, after.year, after.at, uuid.UUID(bytes=after.tweet_id), limit)
        return [
            Listed(Placed(after.year, at, tweet.bytes), author.bytes, marked_ms)
            for at, tweet, author, marked_ms in await self._cql.execute(self._marked, query)
        ]

    async def _current_marks(self, user_id: bytes, kind: MarkKind, rows: Sequence[Listed]) -> list[Listed]:
        states = await self.marks(user_id, kind, {row.tweet_id for row in rows})
        newer = [row for row in rows if states.get(row.tweet_id, UNMARKED).at > row.place.at]
        await self._clear([self._drop(user_id, kind, row.place) for row in newer])
        # A row that is newer than its state belongs to a write that is on its way.
        return [row for row in rows if states.get(row.tweet_id, UNMARKED).at == row.place.at]

    async def _bucket_from(self, tweet_id: bytes, level: int, latest: int) -> int | None:
        """The latest bucket up to `latest`."""
        if not level:
            return 0
        rows = await self._cql.execute(self._buckets, (uuid.UUID(bytes=tweet_id), latest, 1))
        return rows[0][0] if rows else 0

    async def _liker_rows(self, tweet_id: bytes, after: PlacedLiker, limit: int) -> list[PlacedLiker]:
        query = (uuid.UUID(bytes=tweet_id), after.bucket, after.at, uuid.UUID(bytes=after.user_id), limit)
        rows = await self._cql.execute(self._likers, query)
        return [PlacedLiker(after.bucket, at, user.bytes) for at, user in rows]

    async def _current_likers(self, tweet_id: bytes, level: int, rows: Sequence[PlacedLiker]) -> list[PlacedLiker]:
        members = {row.user_id for row in rows}
        states = await self._rows_of(Subject(tweet_id, Kind.LIKES), level, members) if members else {}
        at = {user_id: row.at for user_id, row in states.items()}
        tweet = uuid.UUID(bytes=tweet_id)
        await self._clear(
            [
                (self._unlist_liker, (row.at, tweet, row.bucket, row.at, uuid.UUID(bytes=row.user_id)))
                for row in rows
                if at.get(row.user_id, 0) > row.at
            ]
        )
        return [row for row in rows if at.get(row.user_id) == row.at]

    async def _clear(self, drops: Sequence[Write]) -> None:
        try:
            await asyncio.gather(*(self._cql.execute(statement, values) for statement, values in drops))
        except Unavailable as error:
            log.warning("replaced_rows_left", rows=len(drops), error=error.detail)


def _mark(row: Sequence[Any]) -> Mark:
    _, present, at, delta, author, marked_ms, bucket = row
    return Mark(present, at, delta, author.bytes if author else b"", marked_ms, bucket)
