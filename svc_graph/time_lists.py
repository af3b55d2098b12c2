"""The two lists by time in CQL: their rows, reading them against the edges, and clearing what a lost race left in them.

Followers above level 0 are in slots_cql.py.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from cql_client import Consistency, Cql
from runtime import telemetry
from runtime.errors import Unavailable
from runtime.ids import uuid7_of
from svc_graph.domain import Edge, ListedFollow, Pair, version_of
from svc_graph.levels import Level, listed_at
from svc_graph.levels_cql import CqlLevels
from svc_graph.slots_cql import Row, Slots

Newest = Callable[[uuid.UUID, uuid.UUID, int], Awaitable[list[ListedFollow]]]
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

    def __init__(self, cql: Cql, edges: Edges, levels: CqlLevels) -> None:
        self._cql = cql
        self._edges = edges
        self._levels = levels
        self._slots = Slots(cql)
        # Whom does an account follow, latest first?
        following = (
            "SELECT follow_id, followee_id FROM following_by_time WHERE follower_id = ? AND follow_id < ? LIMIT ?"
        )
        self._following = cql.prepare(following)
        # About whom does an account follow lately? For suggestions alone.
        self._about_following = cql.prepare(following, Consistency.ONE)
        # Who follows an account since level 0, latest first?
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

    def added(self, edge: Edge, level: Level) -> Iterable[Row]:
        """The writes that list a follow at both ends; the level is that of the followed account."""
        pair = edge.pair
        yield self._add_following, (pair.follower_id, edge.follow_id, pair.followee_id)
        if level.written:
            yield from self._slots.added(edge, level.written)
        else:
            yield self._add_follower, (pair.followee_id, edge.follow_id, pair.follower_id)

    def dropped(self, pair: Pair, follow: uuid.UUID, level: Level) -> Iterable[Row]:
        """The writes that take a follow off at both ends, wherever it may be listed."""
        yield self._drop_following, (pair.follower_id, follow)
        for each in listed_at(follow, level):
            if each:
                yield from self._slots.dropped(pair, follow, each)
            else:
                yield self._drop_follower, (pair.followee_id, follow)

    async def following(self, owner: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """As GraphStore.list_following."""

        async def current(follower: uuid.UUID, others: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
            edges = await self._edges.edges([Pair(follower, other) for other in others])
            return {edge.pair.followee_id: edge.follow_id for edge in edges if edge.following}

        return await self._read(
            self._newest_following, current, lambda other: Pair(owner, other), (owner, before, limit)
        )

    async def about_newest_following(self, owner: uuid.UUID, limit: int) -> list[ListedFollow]:
        """The first rows as one replica has them, latest first."""
        rows = await self._cql.execute(self._about_following, (owner, AFTER_ALL, limit))
        return [ListedFollow(*row) for row in rows]

    async def _newest_following(self, owner: uuid.UUID, before: uuid.UUID, limit: int) -> list[ListedFollow]:
        return [ListedFollow(*row) for row in await self._cql.execute(self._following, (owner, before, limit))]

    async def followers(self, owner: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """As GraphStore.list_followers. Held against the mirror: one partition, where the edges lie in as many as there are rows."""
        return await self._read(
            self._newest_followers, self._edges.follows_from, lambda other: Pair(other, owner), (owner, before, limit)
        )

    async def _newest_followers(self, owner: uuid.UUID, before: uuid.UUID, limit: int) -> list[ListedFollow]:
        """The newest of all levels: while one is opened two grow at once, so no level is older than another as a whole."""
        level = (await self._levels.of([owner]))[owner]
        reads = [self._first(owner, before, limit)]
        reads += [self._slots.newest(owner, each, before, limit) for each in range(1, level.read + 1)]
        # A change that two processes wrote by different levels is in both.
        found = {row for rows in await asyncio.gather(*reads) for row in rows}
        return sorted(found, key=lambda row: row.follow_id, reverse=True)[:limit]

    async def _first(self, owner: uuid.UUID, before: uuid.UUID, limit: int) -> list[ListedFollow]:
        return [ListedFollow(*row) for row in await self._cql.execute(self._followers, (owner, before, limit))]

    async def _read(
        self,
        newest: Newest,
        current: Current,
        pair: Callable[[uuid.UUID], Pair],
        position: tuple[uuid.UUID, uuid.UUID | None, int],
    ) -> list[ListedFollow]:
        owner, before, limit = position
        found: list[ListedFollow] = []
        while True:
            wanted = limit - len(found)
            rows = await newest(owner, before or AFTER_ALL, wanted)
            states = await current(owner, [row.user_id for row in rows])
            doubtful = [row for row in rows if states.get(row.user_id) != row.follow_id]
            found += [row for row in rows if states.get(row.user_id) == row.follow_id]
            await self._clear([(pair(row.user_id), row.follow_id) for row in doubtful])
            if len(rows) < wanted or len(found) == limit:
                return found
            before = rows[-1].follow_id

    async def _clear(self, rows: Sequence[tuple[Pair, uuid.UUID]]) -> None:
        edges = await self._edges.edges([pair for pair, _ in rows])
        levels = await self._levels.of({pair.followee_id for pair, _ in rows})
        for (pair, follow), edge in zip(rows, edges, strict=True):
            # A row that is newer than its edge belongs to a batch that is being applied right now.
            if edge.version <= version_of(follow):
                continue
            try:
                gone = list(self.dropped(pair, follow, levels[pair.followee_id]))
                await self._cql.logged_batch(gone, timestamp_us=version_of(follow))
            except Unavailable:
                log.warning("stale_follow_left", follow_id=str(follow))
