"""GraphStore on CQL: the follow edges, and what is stored together with them; the parts are in followers_cql.py, stances_cql.py
and time_lists.py.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence

from cql_client import Cql, until_acknowledged
from outbox import CqlOutbox
from runtime.ids import Clock, SystemClock
from svc_graph.domain import Change, Edge, ListedFollow, Pair, Shard, Snapshot
from svc_graph.events import Announcement
from svc_graph.followers_cql import CqlFollowers, touched
from svc_graph.levels import Crowd, Level, is_worth_a_look, shard_of
from svc_graph.levels_cql import CqlLevels
from svc_graph.packed import PackedPage
from svc_graph.pages import KeptPages
from svc_graph.slots_cql import Row
from svc_graph.stamps_cql import CqlStamps
from svc_graph.stances import Ties
from svc_graph.stances_cql import CqlStances
from svc_graph.store import BEFORE_ALL, parts
from svc_graph.time_lists import TimeLists

ACKNOWLEDGED_WITHIN_S = 2.5


class CqlGraphStore(CqlStances):
    """The store on Cassandra or ScyllaDB. The edges and their mirror are keyed by pair, so in both the greater version wins."""

    def __init__(
        self,
        cql: Cql,
        outbox: CqlOutbox,
        levels: CqlLevels,
        noticed: Callable[[Crowd], None] = lambda _: None,
        snapshot_page: int = 5000,
        page_room: int = 64 << 20,
        clock: Clock = SystemClock(),  # noqa: B008
    ) -> None:
        """`noticed` is told of partitions of followers that may be full; pages of followers are kept in `page_room` bytes."""
        CqlStances.__init__(self, cql, self._store)
        self._cql = cql
        self._outbox = outbox
        self._levels = levels
        self._noticed = noticed
        self._snapshot_page = snapshot_page
        self._followers = CqlFollowers(cql, levels, self)
        self.stamps = CqlStamps(cql, clock)
        self._pages = KeptPages(self._followers, self.stamps, page_room)
        self._lists = TimeLists(cql, self, levels)
        prepare = cql.prepare
        # What are the states of pairs of one follower?
        edge = "SELECT follower_id, followee_id, following, version FROM follow_edges"
        self._edges_from = prepare(f"{edge} WHERE follower_id = ? AND followee_id IN ?")
        # What are the states of pairs of one followee? For imports, which come sorted by followee.
        self._edges_to = prepare(f"{edge} WHERE follower_id IN ? AND followee_id = ?")
        # Whom does a follower follow, all at once?
        self._snapshot = prepare(
            "SELECT followee_id, following, graph_version FROM follow_edges"
            " WHERE follower_id = ? AND followee_id > ? LIMIT ?"
        )
        self._set_edge = prepare(
            "INSERT INTO follow_edges (follower_id, followee_id, following, version, graph_version)"
            " VALUES (?, ?, ?, ?, ?)"
        )

    async def edges(self, pairs: Sequence[Pair]) -> list[Edge]:
        """See GraphStore. One query for each account of the end that has fewer, and 100 of its pairs."""
        ends = {pair.follower_id for pair in pairs}, {pair.followee_id for pair in pairs}
        if len(ends[1]) < len(ends[0]):
            grouped = _grouped((pair.followee_id, pair.follower_id) for pair in pairs)
            reads = [self._cql.execute(self._edges_to, (part, followee)) for followee, part in grouped]
        else:
            grouped = _grouped((pair.follower_id, pair.followee_id) for pair in pairs)
            reads = [self._cql.execute(self._edges_from, (follower, part)) for follower, part in grouped]
        stored = {Pair(row[0], row[1]): row for rows in await asyncio.gather(*reads) for row in rows}
        return [Edge(pair, *stored[pair][2:]) if pair in stored else Edge(pair) for pair in pairs]

    async def apply(self, changes: Sequence[Change], announce: Sequence[Announcement]) -> None:
        """See GraphStore. One logged batch, repeated while nobody acknowledged it: repeating writes the same cells."""
        levels = await self._levels.of({change.after.pair.followee_id for change in changes})
        rows = [row for change in changes for row in self._rows(change, levels[change.after.pair.followee_id])]
        # Accounts of level 0 have a page or a few, which nobody keeps.
        states = [(change.after, levels[change.after.pair.followee_id]) for change in changes]
        stamped = {
            Crowd(after.pair.followee_id, shard)
            for after, level in states
            if level.read
            for shard in touched(after, level)
        }
        async with self.stamps.changing(stamped):
            await self._store(rows, announce, changes[0].after.version)
        for follower_id, followee_id in (change.after.pair for change in changes if change.after.following):
            if is_worth_a_look(follower_id, self._levels.limits.partition_followers):
                self._noticed(Crowd(followee_id, shard_of(follower_id, levels[followee_id].written)))

    async def list_following(self, follower_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """See GraphStore."""
        return await self._lists.following(follower_id, before, limit)

    async def list_followers(self, followee_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """See GraphStore."""
        return await self._lists.followers(followee_id, before, limit)

    async def snapshot(self, follower_id: uuid.UUID) -> Snapshot:
        """See GraphStore. The version is that of the first page, which is read first."""
        found: list[uuid.UUID] = []
        version, after = 0, BEFORE_ALL
        while True:
            rows = await self._cql.execute(self._snapshot, (follower_id, after, self._snapshot_page))
            if rows and after == BEFORE_ALL:
                version = rows[0][2]
            found += [followee for followee, following, _ in rows if following]
            if len(rows) < self._snapshot_page:
                return Snapshot(found, version)
            after = rows[-1][0]

    async def ties(self, user_id: uuid.UUID) -> Ties:
        """See GraphStore."""
        async with asyncio.TaskGroup() as reads:
            follows = reads.create_task(self.snapshot(user_id))
            blocked = reads.create_task(self.blocked_ids(user_id))
            mutes = reads.create_task(self.mutes(user_id))
            blockers = reads.create_task(self.blockers(user_id))
        return Ties(follows.result().followee_ids, blocked.result(), mutes.result(), *blockers.result())

    async def follower_shards(self, followee_id: uuid.UUID) -> list[Shard]:
        """See GraphStore."""
        return await self._followers.shards(followee_id)

    async def follower_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int
    ) -> list[uuid.UUID]:
        """See GraphStore."""
        return await self._followers.page(followee_id, shard, after, limit)

    async def packed_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int, as_of: bytes = b""
    ) -> PackedPage:
        """See GraphStore. Changes are stamped since the level was marked, which was known to all before it was opened."""
        level = (await self._levels.of([followee_id]))[followee_id]
        crowd = Crowd(followee_id, shard)
        return await self._pages.read(crowd, after, limit, stamped=level.written > 0, as_of=as_of)

    async def followers_among(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """See GraphStore."""
        return set(await self._followers.follows_from(followee_id, others))

    async def follows_from(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """See time_lists.Edges."""
        return await self._followers.follows_from(followee_id, others)

    async def followees_page(self, follower_id: uuid.UUID, after: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
        """See GraphStore."""
        found: list[uuid.UUID] = []
        position = after or BEFORE_ALL
        while True:
            wanted = limit - len(found)
            rows = await self._cql.execute(self._snapshot, (follower_id, position, wanted))
            found += [followee for followee, following, _ in rows if following]
            if len(rows) < wanted or len(found) == limit:
                return found
            position = rows[-1][0]

    async def newest_followees(self, follower_ids: Sequence[uuid.UUID], each: int) -> dict[uuid.UUID, list[uuid.UUID]]:
        """See GraphStore. One replica is asked: no promise depends on who is looked at."""
        lists = await asyncio.gather(*(self._lists.about_newest_following(one, each) for one in follower_ids))
        return {one: [row.user_id for row in rows] for one, rows in zip(follower_ids, lists, strict=True)}

    async def partition_size(self, crowd: Crowd) -> int:
        """See growth.Counter."""
        return await self._followers.partition_size(crowd)

    async def _store(self, rows: list[Row], announce: Sequence[Announcement], version: int) -> None:
        rows += [self._outbox.row(event) for event in announce]
        await until_acknowledged(lambda: self._cql.logged_batch(rows, timestamp_us=version), ACKNOWLEDGED_WITHIN_S)

    def _rows(self, change: Change, level: Level) -> Iterable[Row]:
        pair, after = change.after.pair, change.after
        yield self._set_edge, (pair.follower_id, pair.followee_id, after.following, after.version, after.version)
        yield from self._followers.rows(after, level)
        if after.following:
            yield from self._lists.added(after, level)
        else:
            yield from self._lists.dropped(pair, change.before.follow_id, level)


def _grouped(pairs: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> Iterator[tuple[uuid.UUID, Sequence[uuid.UUID]]]:
    """Each first with at most 100 of its seconds at a time."""
    wanted: dict[uuid.UUID, list[uuid.UUID]] = {}
    for first, second in pairs:
        wanted.setdefault(first, []).append(second)
    for first, seconds in wanted.items():
        for part in parts(seconds):
            yield first, part
