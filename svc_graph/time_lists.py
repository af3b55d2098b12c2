"""The two lists by time in CQL: their rows, reading them against the edges, and clearing what a lost race left in them."""

import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from runtime import telemetry
from runtime.cql import Cql, Statement
from runtime.errors import Unavailable
from runtime.ids import uuid7_of
from svc_graph.domain import Edge, ListedFollow, Pair, version_of

Row = tuple[Statement, Sequence[Any]]
Current = Callable[[uuid.UUID, Sequence[uuid.UUID]], Awaitable[dict[uuid.UUID, uuid.UUID]]]

AFTER_ALL = uuid7_of((1 << 48) - 1, (1 << 74) - 1)

log = telemetry.logger(__name__)


class Edges(Protocol):
    """Tells the states that the lists are held against."""

    async def edges(self, pairs: Sequence[Pair]) -> list[Edge]:
        """As GraphStore.edges."""

    async def follows_from(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """The follow_ids of those of the others who follow the account, by their ids."""


class TimeLists:
    """Rows keyed by follow_id, so a change that loses a race can leave its row behind.

    A row counts only while its follow_id is that of its pair's state. One whose pair has a later state is deleted on sight,
    with its own version as the timestamp: that can never hit another write, and doing it twice changes nothing.
    """

    def __init__(self, cql: Cql, edges: Edges) -> None:
        self._cql = cql
        self._edges = edges
        # Whom does an account follow, latest first?
        self._following = cql.prepare(
            "SELECT follow_id, followee_id FROM following_by_time WHERE follower_id = ? AND follow_id < ? LIMIT ?"
        )
        # Who follows an account, latest first?
        self._followers = cql.prepare(
            "SELECT follow_id, follower_id FROM followers_by_time WHERE followee_id = ? AND follow_id < ? LIMIT ?"
        )
        self._add_following = cql.prepare(
            "INSERT INTO following_by_time (follower_id, follow_id, followee_id) VALUES (?, ?, ?)"
        )
        self._add_follower = cql.prepare(
            "INSERT INTO followers_by_time (followee_id, follow_id, follower_id) VALUES (?, ?, ?)"
        )
        self._drop_following = cql.prepare("DELETE FROM following_by_time WHERE follower_id = ? AND follow_id = ?")
        self._drop_follower = cql.prepare("DELETE FROM followers_by_time WHERE followee_id = ? AND follow_id = ?")

    def added(self, edge: Edge) -> Iterable[Row]:
        """The writes that list a follow at both ends."""
        pair = edge.pair
        yield self._add_following, (pair.follower_id, edge.follow_id, pair.followee_id)
        yield self._add_follower, (pair.followee_id, edge.follow_id, pair.follower_id)

    def dropped(self, pair: Pair, follow: uuid.UUID) -> Iterable[Row]:
        """The writes that take a follow off at both ends."""
        yield self._drop_following, (pair.follower_id, follow)
        yield self._drop_follower, (pair.followee_id, follow)

    async def following(self, owner: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """As GraphStore.list_following."""

        async def current(follower: uuid.UUID, others: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
            edges = await self._edges.edges([Pair(follower, other) for other in others])
            return {edge.pair.followee_id: edge.follow_id for edge in edges if edge.following}

        return await self._read(self._following, current, lambda other: Pair(owner, other), (owner, before, limit))

    async def followers(self, owner: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """As GraphStore.list_followers. Held against the mirror: one partition, where the edges lie in as many as there are rows."""
        return await self._read(
            self._followers, self._edges.follows_from, lambda other: Pair(other, owner), (owner, before, limit)
        )

    async def _read(
        self,
        query: Statement,
        current: Current,
        pair: Callable[[uuid.UUID], Pair],
        position: tuple[uuid.UUID, uuid.UUID | None, int],
    ) -> list[ListedFollow]:
        owner, before, limit = position
        found: list[ListedFollow] = []
        while True:
            wanted = limit - len(found)
            rows = [ListedFollow(*row) for row in await self._cql.execute(query, (owner, before or AFTER_ALL, wanted))]
            states = await current(owner, [row.user_id for row in rows])
            doubtful = [row for row in rows if states.get(row.user_id) != row.follow_id]
            found += [row for row in rows if states.get(row.user_id) == row.follow_id]
            await self._clear([(pair(row.user_id), row.follow_id) for row in doubtful])
            if len(rows) < wanted or len(found) == limit:
                return found
            before = rows[-1].follow_id

    async def _clear(self, rows: Sequence[tuple[Pair, uuid.UUID]]) -> None:
        edges = await self._edges.edges([pair for pair, _ in rows])
        for (pair, follow), edge in zip(rows, edges, strict=True):
            # A row that is newer than its edge belongs to a batch that is being applied right now.
            if edge.version <= version_of(follow):
                continue
            try:
                await self._cql.logged_batch(list(self.dropped(pair, follow)), timestamp_us=version_of(follow))
            except Unavailable:
                log.warning("stale_follow_left", follow_id=str(follow))
