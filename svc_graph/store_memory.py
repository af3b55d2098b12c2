"""The promises of GraphStore in memory, for unit tests and simulation; nothing here survives the process."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from google.protobuf.message import Message

from svc_graph.domain import WHOLE, Change, Edge, ListedFollow, Pair, Shard, Snapshot
from svc_graph.events import Announcement


class MemoryGraphStore:
    """GraphStore in one dictionary of edges. No method awaits between reading and writing, so each is atomic."""

    def __init__(self, announce: Callable[[Message], None]) -> None:
        self._announce = announce
        self._edges: dict[Pair, Edge] = {}
        self._from: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
        self._to: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)

    async def edges(self, pairs: Sequence[Pair]) -> list[Edge]:
        """See GraphStore."""
        return [self._edge(pair) for pair in pairs]

    async def versions(self, follower_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """See GraphStore."""
        return {one: self._version(one) for one in follower_ids}

    async def apply(self, changes: Sequence[Change], announce: Sequence[Announcement]) -> None:
        """See GraphStore."""
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
        return Snapshot([edge.pair.followee_id for edge in mine], self._version(follower_id))

    async def follower_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int
    ) -> list[uuid.UUID]:
        """See GraphStore."""
        if shard != WHOLE:
            return []
        ids = sorted(edge.pair.follower_id for edge in self._followers(followee_id))
        return [one for one in ids if after is None or one > after][:limit]

    async def followers_among(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """See GraphStore."""
        return {other for other in others if self._edge(Pair(other, followee_id)).following}

    def _edge(self, pair: Pair) -> Edge:
        return self._edges.get(pair, Edge(pair))

    def _following(self, follower_id: uuid.UUID) -> Iterable[Edge]:
        edges = (self._edges[Pair(follower_id, one)] for one in self._from.get(follower_id, ()))
        return (edge for edge in edges if edge.following)

    def _followers(self, followee_id: uuid.UUID) -> Iterable[Edge]:
        edges = (self._edges[Pair(one, followee_id)] for one in self._to.get(followee_id, ()))
        return (edge for edge in edges if edge.following)

    def _version(self, follower_id: uuid.UUID) -> int:
        ever = self._from.get(follower_id, ())
        return max((self._edges[Pair(follower_id, one)].version for one in ever), default=0)


def _page(rows: list[ListedFollow], before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
    older = [row for row in rows if before is None or row.follow_id < before]
    return sorted(older, key=lambda row: row.follow_id, reverse=True)[:limit]
