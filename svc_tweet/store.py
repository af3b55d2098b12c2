"""What svc_tweet stores and promises, and the CQL tables that keep the promises; rules about tweets are in domain/."""

import asyncio
import uuid
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted

from cql_client import Cql, until_acknowledged
from outbox import CqlOutbox
from svc_tweet.domain.tweets import PURGE_AFTER_S, Claim, Tweet, born_us, month_of

SCHEMA = Path(__file__).parent / "schema"

CLAIMED_WITHIN_S = 1.5
ACKNOWLEDGED_WITHIN_S = 2.5
_LEAST_PAGE = 100
"""Rows read at once in search of tweets that are not deleted."""


class TweetStore(Protocol):
    """Tweets, the ids of each author's, and what idempotency keys stand for."""

    async def claim(self, user_id: uuid.UUID, key: str, wanted: Claim, ttl_s: int) -> Claim:
        """Whose the key is: the wanted claim when it was free, else the earlier one. Of parallel calls one wins, all get its claim.

        Keys of different users are different keys. After `ttl_s` the key is free again; 0 is never.
        Raises Unavailable when the answer is not known in time; then the claim may stand.
        """

    async def insert(self, tweet: Tweet, announce: TweetCreated) -> None:
        """Store a new tweet with its announcement, both or neither. Doing it again is doing it once.

        A tweet that was deleted stays deleted, even when a repetition arrives after the deletion.
        Raises Unavailable when it was not acknowledged in time; then it may be stored, now or a little later.
        """

    async def delete(self, tweet: Tweet, deleted_us: int, announce: TweetDeleted) -> None:
        """Mark a stored tweet as deleted, with its announcement, both or neither. Doing it again is doing it once.

        The body is gone after PURGE_AFTER_S seconds; id and author stay. `deleted_us` must be later than the tweet's own time.
        Raises Unavailable when it was not acknowledged in time; then it may be stored, now or a little later.
        """

    async def get(self, tweet_id: uuid.UUID) -> Tweet | None:
        """The tweet, deleted or not; None for an unknown id. Sees every write that was acknowledged before."""

    async def get_many(self, tweet_ids: Collection[uuid.UUID]) -> list[Tweet]:
        """As `get`, for many ids in no particular order; unknown ids are absent."""

    async def list_by_author(
        self, author_id: uuid.UUID, before: uuid.UUID, after: uuid.UUID, limit: int
    ) -> list[uuid.UUID]:
        """Ids of an author's tweets, newest first, strictly between the two. Deleted ones are absent.

        At most `limit`; fewer only at the end. Months without tweets make no difference. Sees every write that was acknowledged
        before. An unknown author is an empty list.
        """

    async def list_all_by_author(
        self, author_id: uuid.UUID, before: uuid.UUID, after: uuid.UUID, limit: int
    ) -> list[tuple[uuid.UUID, bool]]:
        """As `list_by_author`, with the deleted ones, and of each whether it is."""


class CqlTweetStore:
    """TweetStore on Cassandra or ScyllaDB.

    Every cell of a creation has the tweet's own time as its timestamp, every cell of a deletion a later one: in whatever order
    and however often they arrive, the same rows come out.
    """

    def __init__(self, cql: Cql, outbox: CqlOutbox, purge_after_s: int = PURGE_AFTER_S) -> None:
        self._cql = cql
        self._outbox = outbox
        self._purge_after_s = purge_after_s
        # What does an idempotency key stand for?
        self._claim = cql.prepare(
            "INSERT INTO idempotency (user_id, key, body_hash, tweet_id, mentioned) VALUES (?, ?, ?, ?, ?)"
            " IF NOT EXISTS USING TTL ?"
        )
        self._claimed = cql.prepare(
            "SELECT body_hash, tweet_id, mentioned FROM idempotency WHERE user_id = ? AND key = ?"
        )
        # What is the tweet with this id?
        self._tweet = cql.prepare("SELECT tweet_id, author_id, body, deleted_at FROM tweets WHERE tweet_id = ?")
        self._insert_tweet = cql.prepare("INSERT INTO tweets (tweet_id, author_id, body) VALUES (?, ?, ?)")
        self._delete_tweet = cql.prepare("UPDATE tweets SET deleted_at = ? WHERE tweet_id = ?")
        self._expire_body = cql.prepare("UPDATE tweets USING TTL ? SET body = ? WHERE tweet_id = ?")
        # In which months did an author post, from the newest one down?
        self._months = cql.prepare("SELECT month FROM author_months WHERE author_id = ? AND month <= ? AND month >= ?")
        self._insert_month = cql.prepare("INSERT INTO author_months (author_id, month) VALUES (?, ?)")
        # What did an author post in a month, newest first?
        self._listed = cql.prepare(
            "SELECT tweet_id, deleted FROM tweets_by_author"
            " WHERE author_id = ? AND month = ? AND tweet_id < ? AND tweet_id > ? LIMIT ?"
        )
        self._insert_listed = cql.prepare("INSERT INTO tweets_by_author (author_id, month, tweet_id) VALUES (?, ?, ?)")
        self._delete_listed = cql.prepare(
            "UPDATE tweets_by_author SET deleted = true WHERE author_id = ? AND month = ? AND tweet_id = ?"
        )

    async def claim(self, user_id: uuid.UUID, key: str, wanted: Claim, ttl_s: int) -> Claim:
        """See TweetStore. After an unknown outcome the same statement again: the id was chosen before, so it knows its own claim."""
        row = (user_id, key, wanted.body_hash, wanted.tweet_id, wanted.mentioned, ttl_s)
        while not (await until_acknowledged(lambda: self._cql.apply_lwt(self._claim, row), CLAIMED_WITHIN_S)).applied:
            rows = await self._cql.read_serial(self._claimed, (user_id, key))
            # None: it expired between the two.
            if rows:
                body_hash, tweet_id, mentioned = rows[0]
                return Claim(body_hash, tweet_id, mentioned)
        return wanted

    async def insert(self, tweet: Tweet, announce: TweetCreated) -> None:
        """See TweetStore."""
        month = month_of(tweet.tweet_id)
        batch: list[tuple[Any, Sequence[Any]]] = [
            (self._insert_tweet, (tweet.tweet_id, tweet.author_id, tweet.body)),
            (self._insert_listed, (tweet.author_id, month, tweet.tweet_id)),
            (self._insert_month, (tweet.author_id, month)),
            self._outbox.row(announce),
        ]
        await self._acknowledged(batch, born_us(tweet.tweet_id))

    async def delete(self, tweet: Tweet, deleted_us: int, announce: TweetDeleted) -> None:
        """See TweetStore. Never a CQL DELETE, which would race the creation; the text is written again, to expire."""
        batch: list[tuple[Any, Sequence[Any]]] = [
            (self._delete_tweet, (deleted_us // 1000, tweet.tweet_id)),
            (self._expire_body, (self._purge_after_s, tweet.body, tweet.tweet_id)),
            (self._delete_listed, (tweet.author_id, month_of(tweet.tweet_id), tweet.tweet_id)),
            self._outbox.row(announce),
        ]
        await self._acknowledged(batch, deleted_us)

    async def get(self, tweet_id: uuid.UUID) -> Tweet | None:
        """See TweetStore."""
        rows = await self._cql.execute(self._tweet, (tweet_id,))
        for stored_id, author_id, body, deleted_at in rows:
            return Tweet(stored_id, author_id, body or b"", deleted_at is not None)
        return None

    async def get_many(self, tweet_ids: Collection[uuid.UUID]) -> list[Tweet]:
        """See TweetStore. One partition a tweet, all at once, each at a replica that has it."""
        found = await asyncio.gather(*(self.get(tweet_id) for tweet_id in tweet_ids))
        return [tweet for tweet in found if tweet is not None]

    async def list_by_author(
        self, author_id: uuid.UUID, before: uuid.UUID, after: uuid.UUID, limit: int
    ) -> list[uuid.UUID]:
        """See TweetStore."""
        return [one for one, _ in await self._list(author_id, before, after, limit, with_deleted=False)]

    async def list_all_by_author(
        self, author_id: uuid.UUID, before: uuid.UUID, after: uuid.UUID, limit: int
    ) -> list[tuple[uuid.UUID, bool]]:
        """See TweetStore."""
        return await self._list(author_id, before, after, limit, with_deleted=True)

    async def _list(
        self, author_id: uuid.UUID, before: uuid.UUID, after: uuid.UUID, limit: int, *, with_deleted: bool
    ) -> list[tuple[uuid.UUID, bool]]:
        found: list[tuple[uuid.UUID, bool]] = []
        for (month,) in await self._cql.execute(self._months, (author_id, month_of(before), month_of(after))):
            found += await self._month((author_id, month), before, after, limit - len(found), with_deleted)
            if len(found) == limit:
                break
        return found

    async def _month(
        self, partition: tuple[uuid.UUID, int], before: uuid.UUID, after: uuid.UUID, limit: int, with_deleted: bool
    ) -> list[tuple[uuid.UUID, bool]]:
        page = max(limit, _LEAST_PAGE)
        found: list[tuple[uuid.UUID, bool]] = []
        while True:
            rows = await self._cql.execute(self._listed, (*partition, before, after, page))
            found += [(tweet_id, bool(deleted)) for tweet_id, deleted in rows if with_deleted or not deleted]
            if len(found) >= limit or len(rows) < page:
                return found[:limit]
            before = rows[-1][0]

    async def _acknowledged(self, batch: Sequence[tuple[Any, Sequence[Any]]], timestamp_us: int) -> None:
        # One batch with fixed values, built once: however often it is repeated, it writes the same cells.
        await until_acknowledged(
            lambda: self._cql.logged_batch(batch, timestamp_us=timestamp_us), ACKNOWLEDGED_WITHIN_S
        )
