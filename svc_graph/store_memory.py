"""The promises of GraphStore in memory, for unit tests and simulation; nothing here survives the process."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from google.protobuf.message import Message

from svc_graph.domain import WHOLE, Change, Edge, ListedFollow, Pair, Shard, Snapshot
from svc_graph.events import Announcement
from svc_graph.packed import PackedPage, packed
from svc_graph.stances import Ties
from svc_graph.stances_memory import MemoryStances


class MemoryGraphStore(MemoryStances):
    """GraphStore in one dictionary of edges, and what MemoryStances keeps. No method awaits between reading and writing."""

    def __init__(self, announce: Callable[[Message], None]) -> None:
        super().__init__(announce)
        self._announce = announce
        self._edges: dict[Pair, Edge] = {}
        self._from: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
        self._to: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)

    async def edges(self, pairs: Sequence[Pair]) -> list[Edge]:
        """See GraphStore."""
        return [self._edge(pair) for pair in pairs]

    async def versions(self, follower_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """See GraphStore."""
        return {one: self._own_versions.get(one, 0) for one in follower_ids}

    async def apply(self, changes: Sequence[Change], announce: Sequence[Announcement]) -> None:
        """See GraphStore."""
        await self.raise_versions({change.after.pair.follower_id: change.after.version for change in changes}, {})
        for change in changes:
            if change.after.version > self._edge(change.after.pair).version:
                self._edges[change.after.pair] = change.after
                self._from[change.after.pair.follower_id].add(change.after.pair.followee_id)
                self._to[change.after.pair.followee_id].add(change.after.pair.follower_id)
        for event in announce:
            self._announce(event)

    async def list_following(self, follower_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """See GraphStore."""
        mine = self._following(follower_id)
        return _page([ListedFollow(edge.follow_id, edge.pair.followee_id) for edge in mine], before, limit)

    async def list_followers(self, followee_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """See GraphStore."""
        theirs = self._followers(followee_id)
        return _page([ListedFollow(edge.follow_id, edge.pair.follower_id) for edge in theirs], before, limit)

    async def snapshot(self, follower_id: uuid.UUID) -> Snapshot:
        """See GraphStore."""
        mine = self._following(follower_id)
        return Snapshot([edge.pair.followee_id for edge in mine], self._own_versions.get(follower_id, 0))

    async def ties(self, user_id: uuid.UUID) -> Ties:
        """See GraphStore."""
        follows = [edge.pair.followee_id for edge in self._following(user_id)]
        return Ties(follows, *self.stance_parts(user_id))

    async def follower_shards(self, followee_id: uuid.UUID) -> list[Shard]:
        """See GraphStore. Memory holds as many as there are in one place."""
        return [WHOLE]

    async def follower_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int
    ) -> list[uuid.UUID]:
        """See GraphStore."""
        if shard != WHOLE:
            return []
        ids = sorted(edge.pair.follower_id for edge in self._followers(followee_id))
        return [one for one in ids if after is None or one > after][:limit]

    async def packed_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int, as_of: bytes = b""
    ) -> PackedPage:
        """See GraphStore."""
        return packed(await self.follower_page(followee_id, shard, after, limit + 1), limit)

    async def followers_among(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """See GraphStore."""
        return {other for other in others if self._edge(Pair(other, followee_id)).following}

    async def follows_from(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """See GraphStore."""
        edges = [self._edge(Pair(other, followee_id)) for other in others]
        return {edge.pair.follower_id: edge.follow_id for edge in edges if edge.following}

    async def followees_page(self, follower_id: uuid.UUID, after: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
        """See GraphStore."""
        ids = sorted(edge.pair.followee_id for edge in self._following(follower_id))
        return [one for one in ids if after is None or one > after][:limit]

    async def newest_followees(self, follower_ids: Sequence[uuid.UUID], each: int) -> dict[uuid.UUID, list[uuid.UUID]]:
        """See GraphStore."""
        lists = {one: await self.list_following(one, None, each) for one in follower_ids}
        return {one: [row.user_id for row in rows] for one, rows in lists.items()}

    def _edge(self, pair: Pair) -> Edge:
        return self._edges.get(pair, Edge(pair))

    def _following(self, follower_id: uuid.UUID) -> Iterable[Edge]:
        edges = (self._edges[Pair(follower_id, one)] for one in self._from.get(follower_id, ()))
        return (edge for edge in edges if edge.following)

    def _followers(self, followee_id: uuid.UUID) -> Iterable[Edge]:
        edges = (self._edges[Pair(one, followee_id)] for one in self._to.get(followee_id, ()))
        return (edge for edge in edges if edge.following)


def _page(rows: list[ListedFollow], before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
    older = [row for row in rows if before is None or row.follow_id < before]
    return sorted(older, key=lambda row: row.follow_id, reverse=True)[:limit]
