"""What the graph stores and promises, and the CQL tables that keep the promises; rules about follows are in domain.py."""

import asyncio
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from outbox import CqlOutbox
from runtime.cql import Cql, until_acknowledged
from svc_graph.domain import WHOLE, Change, Edge, ListedFollow, Pair, Shard, Snapshot
from svc_graph.events import Announcement
from svc_graph.time_lists import Row, TimeLists

SCHEMA = Path(__file__).parent / "schema"

IN_ONE_QUERY = 100
"""ScyllaDB takes no more clustering keys in one query."""
ACKNOWLEDGED_WITHIN_S = 2.5
_BEFORE_ALL = uuid.UUID(int=0)


class GraphStore(Protocol):
    """Follow edges in both directions."""

    async def edges(self, pairs: Sequence[Pair]) -> list[Edge]:
        """The state of each pair, in the order asked for; a pair that was never set is version 0 and not following.

        Sees every change that was acknowledged before.
        """

    async def versions(self, follower_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """Version of the latest change of each follower, whichever pair it was of; 0 for one that never changed.

        Sees every change that was acknowledged before.
        """

    async def apply(self, changes: Sequence[Change], announce: Sequence[Announcement]) -> None:
        """Store all changes and their announcements, or none. The changes must share one version.

        A change that is older than the stored state of its pair changes nothing. Storing one twice is storing it once.
        Raises Unavailable when it was not acknowledged in time; then it may be stored, now or a little later.
        """

    async def list_following(self, follower_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """Whom an account follows, latest follow first, follow_ids strictly less than `before`.

        At most `limit`; fewer only at the end. Nobody is there twice. An unknown account follows nobody.
        """

    async def list_followers(self, followee_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """Who follows an account, latest follow first, follow_ids strictly less than `before`.

        At most `limit`; fewer only at the end. Nobody is there twice. An unknown account has no followers.
        """

    async def snapshot(self, follower_id: uuid.UUID) -> Snapshot:
        """All that an account follows now, with the version of its latest change; version 0 when it never changed."""

    async def follower_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int
    ) -> list[uuid.UUID]:
        """Followers of one shard, ascending, strictly greater than `after`. At most `limit`; fewer only at the end.

        A shard that does not exist is empty.
        """

    async def followers_among(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Those of the others who follow the account."""


class CqlGraphStore:
    """The store on Cassandra or ScyllaDB. The edges and their mirror are keyed by pair, so in both the greater version wins."""

    def __init__(self, cql: Cql, outbox: CqlOutbox, snapshot_page: int = 5000) -> None:
        self._cql = cql
        self._outbox = outbox
        self._snapshot_page = snapshot_page
        self._lists = TimeLists(cql, self)
        prepare = cql.prepare
        # What are the states of pairs of one follower?
        edge = "SELECT follower_id, followee_id, following, version FROM follow_edges"
        self._edges_from = prepare(f"{edge} WHERE follower_id = ? AND followee_id IN ?")
        # What are the states of pairs of one followee? For imports, which come sorted by followee.
        self._edges_to = prepare(f"{edge} WHERE follower_id IN ? AND followee_id = ?")
        # When did followers last change anything?
        self._versions = prepare("SELECT DISTINCT follower_id, graph_version FROM follow_edges WHERE follower_id IN ?")
        # Whom does a follower follow, all at once?
        self._snapshot = prepare(
            "SELECT followee_id, following, graph_version FROM follow_edges"
            " WHERE follower_id = ? AND followee_id > ? LIMIT ?"
        )
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
        self._set_edge = prepare(
            "INSERT INTO follow_edges (follower_id, followee_id, following, version, graph_version)"
            " VALUES (?, ?, ?, ?, ?)"
        )
        self._add_follower = prepare(
            "INSERT INTO followers (followee_id, level, bucket, follower_id, follow_id) VALUES (?, ?, ?, ?, ?)"
        )
        self._drop_follower = prepare(
            "DELETE FROM followers WHERE followee_id = ? AND level = ? AND bucket = ? AND follower_id = ?"
        )

    async def edges(self, pairs: Sequence[Pair]) -> list[Edge]:
        """See GraphStore. One query for each account of the end that has fewer, and 100 of its pairs."""
        ends = {pair.follower_id for pair in pairs}, {pair.followee_id for pair in pairs}
        if len(ends[1]) < len(ends[0]):
            parts = _grouped((pair.followee_id, pair.follower_id) for pair in pairs)
            reads = [self._cql.execute(self._edges_to, (part, followee)) for followee, part in parts]
        else:
            parts = _grouped((pair.follower_id, pair.followee_id) for pair in pairs)
            reads = [self._cql.execute(self._edges_from, (follower, part)) for follower, part in parts]
        stored = {Pair(row[0], row[1]): row for rows in await asyncio.gather(*reads) for row in rows}
        return [Edge(pair, *stored[pair][2:]) if pair in stored else Edge(pair) for pair in pairs]

    async def versions(self, follower_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """See GraphStore."""
        queries = [(part,) for part in _parts(list(follower_ids))]
        answers = await asyncio.gather(*(self._cql.execute(self._versions, query) for query in queries))
        known = {row[0]: row[1] for rows in answers for row in rows}
        return {one: known.get(one, 0) for one in follower_ids}

    async def apply(self, changes: Sequence[Change], announce: Sequence[Announcement]) -> None:
        """See GraphStore. One logged batch, repeated while nobody acknowledged it: repeating writes the same cells."""
        rows = [row for change in changes for row in self._rows(change)]
        rows += [self._outbox.row(event) for event in announce]
        version = changes[0].after.version
        await until_acknowledged(lambda: self._cql.logged_batch(rows, timestamp_us=version), ACKNOWLEDGED_WITHIN_S)

    async def list_following(self, follower_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """See GraphStore."""
        return await self._lists.following(follower_id, before, limit)

    async def list_followers(self, followee_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """See GraphStore."""
        return await self._lists.followers(followee_id, before, limit)

    async def snapshot(self, follower_id: uuid.UUID) -> Snapshot:
        """See GraphStore. The version is that of the first page, which is read first."""
        found: list[uuid.UUID] = []
        version, after = 0, _BEFORE_ALL
        while True:
            rows = await self._cql.execute(self._snapshot, (follower_id, after, self._snapshot_page))
            if rows and after == _BEFORE_ALL:
                version = rows[0][2]
            found += [followee for followee, following, _ in rows if following]
            if len(rows) < self._snapshot_page:
                return Snapshot(found, version)
            after = rows[-1][0]

    async def follower_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int
    ) -> list[uuid.UUID]:
        """See GraphStore."""
        key = (followee_id, shard.level, shard.bucket, after or _BEFORE_ALL, limit)
        return [row[0] for row in await self._cql.execute(self._page, key)]

    async def followers_among(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """See GraphStore."""
        return set(await self.follows_from(followee_id, others))

    async def follows_from(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """The follow_ids of those of the others who follow the account, by their ids."""
        queries = [(followee_id, WHOLE.level, WHOLE.bucket, part) for part in _parts(others)]
        answers = await asyncio.gather(*(self._cql.execute(self._among, query) for query in queries))
        return {row[0]: row[1] for rows in answers for row in rows}

    def _rows(self, change: Change) -> Iterable[Row]:
        pair, after = change.after.pair, change.after
        mirror = (pair.followee_id, WHOLE.level, WHOLE.bucket, pair.follower_id)
        yield self._set_edge, (pair.follower_id, pair.followee_id, after.following, after.version, after.version)
        if after.following:
            yield self._add_follower, (*mirror, after.follow_id)
            yield from self._lists.added(after)
        else:
            yield self._drop_follower, mirror
            yield from self._lists.dropped(pair, change.before.follow_id)


def _parts(ids: Sequence[uuid.UUID]) -> Iterator[Sequence[uuid.UUID]]:
    for start in range(0, len(ids), IN_ONE_QUERY):
        yield ids[start : start + IN_ONE_QUERY]


def _grouped(pairs: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> Iterator[tuple[uuid.UUID, Sequence[uuid.UUID]]]:
    """Each first with at most 100 of its seconds at a time."""
    wanted: dict[uuid.UUID, list[uuid.UUID]] = {}
    for first, second in pairs:
        wanted.setdefault(first, []).append(second)
    for first, seconds in wanted.items():
        for part in _parts(seconds):
            yield first, part
