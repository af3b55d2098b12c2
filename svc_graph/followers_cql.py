"""The mirror of follows by the followed account in CQL: for fan-out and for who follows whom. The truth is in store_cql.py."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence

from cql_client import Cql
from svc_graph.domain import WHOLE, Edge, Pair, Shard
from svc_graph.levels import Crowd, Level, places, shard_of, shards
from svc_graph.levels_cql import CqlLevels
from svc_graph.slots_cql import Row
from svc_graph.store import BEFORE_ALL, parts
from svc_graph.time_lists import Edges


class CqlFollowers:
    """Reads and rows of the table `followers`."""

    def __init__(self, cql: Cql, levels: CqlLevels, edges: Edges) -> None:
        self._cql = cql
        self._levels = levels
        self._edges = edges
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
        # Is a partition full?
        self._size = prepare("SELECT COUNT(*) FROM followers WHERE followee_id = ? AND level = ? AND bucket = ?")
        self._add = prepare(
            "INSERT INTO followers (followee_id, level, bucket, follower_id, follow_id) VALUES (?, ?, ?, ?, ?)"
        )
        self._drop = prepare(
            "DELETE FROM followers WHERE followee_id = ? AND level = ? AND bucket = ? AND follower_id = ?"
        )

    async def shards(self, followee_id: uuid.UUID) -> list[Shard]:
        """See GraphStore.follower_shards."""
        return shards((await self._levels.of([followee_id]))[followee_id])

    async def page(self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
        """See GraphStore.follower_page."""
        key = (followee_id, shard.level, shard.bucket, after or BEFORE_ALL, limit)
        return [row[0] for row in await self._cql.execute(self._page, key)]

    async def follows_from(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """The follow_ids of those of the others who follow the account, by their ids.

        From the mirror while it is one partition. Where it is many, the truth takes no more reads and needs no merging.
        """
        if (await self._levels.of([followee_id]))[followee_id].read:
            edges = await self._edges.edges([Pair(other, followee_id) for other in others])
            return {edge.pair.follower_id: edge.follow_id for edge in edges if edge.following}
        queries = [(followee_id, WHOLE.level, WHOLE.bucket, part) for part in parts(others)]
        answers = await asyncio.gather(*(self._cql.execute(self._among, query) for query in queries))
        return {row[0]: row[1] for rows in answers for row in rows}

    async def partition_size(self, crowd: Crowd) -> int:
        """How many followers a partition holds."""
        key = (crowd.followee_id, crowd.shard.level, crowd.shard.bucket)
        return int((await self._cql.execute(self._size, key))[0][0])

    def rows(self, after: Edge, level: Level) -> Iterable[Row]:
        """The writes that bring the mirror into a state: a follow is added at one level, and ended wherever it may be."""
        follower_id, followee_id = after.pair
        for shard in touched(after, level):
            if after.following:
                yield self._add, (followee_id, shard.level, shard.bucket, follower_id, after.follow_id)
            else:
                yield self._drop, (followee_id, shard.level, shard.bucket, follower_id)


def touched(after: Edge, level: Level) -> list[Shard]:
    """The partitions in which a change to this state writes."""
    follower_id = after.pair.follower_id
    return [shard_of(follower_id, level.written)] if after.following else places(follower_id, level)
