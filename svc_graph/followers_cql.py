"""The mirror of follows by the followed account in CQL: for fan-out and for who follows whom. The truth is in store_cql.py."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence

from runtime.cql import Cql
from svc_graph.domain import WHOLE, Edge, Pair, Shard
from svc_graph.store import BEFORE_ALL, parts
from svc_graph.time_lists import Row


class CqlFollowers:
    """Reads and rows of the table `followers`."""

    def __init__(self, cql: Cql) -> None:
        self._followers_cql = cql
        prepare = cql.prepare
        # Who follows an account, for fan-out?
        self._page = prepare(
            "SELECT follower_id FROM followers"
            " WHERE followee_id = ? AND level = ? AND bucket = ? AND follower_id > ? LIMIT ?"
        )
        # Which of these follow an account, and by which follow?
        self._among = prepare(
            "SELECT follower_id, follow_id FROM followers"
            " WHERE followee_id = ? AND level = ? AND bucket = ? AND follower_id IN ?"
        )
        self._add_follower = prepare(
            "INSERT INTO followers (followee_id, level, bucket, follower_id, follow_id) VALUES (?, ?, ?, ?, ?)"
        )
        self._drop_follower = prepare(
            "DELETE FROM followers WHERE followee_id = ? AND level = ? AND bucket = ? AND follower_id = ?"
        )

    async def follower_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int
    ) -> list[uuid.UUID]:
        """See GraphStore."""
        key = (followee_id, shard.level, shard.bucket, after or BEFORE_ALL, limit)
        return [row[0] for row in await self._followers_cql.execute(self._page, key)]

    async def followers_among(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """See GraphStore."""
        return set(await self.follows_from(followee_id, others))

    async def follows_from(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """The follow_ids of those of the others who follow the account, by their ids."""
        queries = [(followee_id, WHOLE.level, WHOLE.bucket, part) for part in parts(others)]
        answers = await asyncio.gather(*(self._followers_cql.execute(self._among, query) for query in queries))
        return {row[0]: row[1] for rows in answers for row in rows}

    def follower_rows(self, after: Edge) -> Iterable[Row]:
        """The writes that bring the mirror into a state."""
        pair: Pair = after.pair
        mirror = (pair.followee_id, WHOLE.level, WHOLE.bucket, pair.follower_id)
        if after.following:
            yield self._add_follower, (*mirror, after.follow_id)
        else:
            yield self._drop_follower, mirror
