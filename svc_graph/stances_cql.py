"""Blocks, mutes and viewers' snapshots in CQL; the promises are in store.py, follows in store_cql.py."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from cql_client import Cql, Statement, until_acknowledged
from runtime import telemetry
from runtime.errors import Unavailable
from svc_graph.domain import version_of
from svc_graph.events import Announcement
from svc_graph.slots_cql import Row
from svc_graph.stances import BLOCK, MUTE, STATE_LIFETIME_MS, Kept, Relation, Stance, ViewerVersions
from svc_graph.store import BEFORE_ALL, EXPIRED_KEPT_MS, READ_BLOCKERS, parts
from svc_graph.time_lists import AFTER_ALL

ACKNOWLEDGED_WITHIN_S = 2.5
_PAGE = 5000

Store = Callable[[list[Row], Sequence[Announcement], int], Awaitable[None]]

log = telemetry.logger(__name__)


class CqlStances:
    """Tables `stances`, `stances_by_time` and `blocked_by`, and what `follow_edges` has once for an account: versions and the snapshot."""

    def __init__(self, cql: Cql, store: Store) -> None:
        """`store` writes rows and announcements in one logged batch of a version."""
        self._stances_cql = cql
        self._store_stances = store
        prepare = cql.prepare
        # How does an account stand to these?
        self._states = prepare(
            "SELECT other_id, stands, version, until_ms FROM stances WHERE user_id = ? AND relation = ? AND other_id IN ?"
        )
        # Whom does an account block, mute, all at once?
        self._all = prepare(
            "SELECT other_id, stands, version, until_ms FROM stances"
            " WHERE user_id = ? AND relation = ? AND other_id > ? LIMIT ?"
        )
        # Whom does an account block, mute, latest first?
        self._by_time = prepare(
            "SELECT stance_id, other_id FROM stances_by_time"
            " WHERE user_id = ? AND relation = ? AND stance_id < ? LIMIT ?"
        )
        # Which of these block an account?
        self._among_blockers = prepare(
            "SELECT blocker_id, version FROM blocked_by WHERE blocked_id = ? AND blocker_id IN ?"
        )
        # Who blocks an account?
        self._blockers = prepare("SELECT blocker_id FROM blocked_by WHERE blocked_id = ? AND blocker_id > ? LIMIT ?")
        # When did accounts last change anything, and when did last anybody block them, or cease to?
        self._versions = prepare(
            "SELECT DISTINCT follower_id, graph_version, blocked_version FROM follow_edges WHERE follower_id IN ?"
        )
        # How did a viewer stand to everybody, when somebody looked, and is it still so?
        self._kept = prepare(
            "SELECT DISTINCT follower_id, graph_version, blocked_version, snapshot FROM follow_edges WHERE follower_id = ?"
        )
        self._keep = prepare(
            f"INSERT INTO follow_edges (follower_id, snapshot) VALUES (?, ?) USING TTL {STATE_LIFETIME_MS // 1000}"
        )
        self._set = prepare(
            "INSERT INTO stances (user_id, relation, other_id, stands, version, until_ms) VALUES (?, ?, ?, ?, ?, ?)"
        )
        self._list = prepare("INSERT INTO stances_by_time (user_id, relation, stance_id, other_id) VALUES (?, ?, ?, ?)")
        self._unlist = prepare("DELETE FROM stances_by_time WHERE user_id = ? AND relation = ? AND stance_id = ?")
        self._block = prepare("INSERT INTO blocked_by (blocked_id, blocker_id, version) VALUES (?, ?, ?)")
        self._unblock = prepare("DELETE FROM blocked_by WHERE blocked_id = ? AND blocker_id = ?")
        self._raise_own = prepare("INSERT INTO follow_edges (follower_id, graph_version) VALUES (?, ?)")
        self._raise_blocked = prepare("INSERT INTO follow_edges (follower_id, blocked_version) VALUES (?, ?)")

    async def stances(self, relation: Relation, user_id: uuid.UUID, other_ids: Sequence[uuid.UUID]) -> list[Stance]:
        """See StanceStore."""
        reads = [self._stances_cql.execute(self._states, (user_id, relation, part)) for part in parts(other_ids)]
        stored = {row[0]: row for rows in await asyncio.gather(*reads) for row in rows}
        return [
            Stance(relation, user_id, *stored[other]) if other in stored else Stance(relation, user_id, other)
            for other in other_ids
        ]

    async def set_stance(self, before: Stance, after: Stance, announce: Sequence[Announcement]) -> None:
        """See StanceStore. One logged batch, whose rows carry the version as their timestamp."""
        await self._store_stances(list(self._stance_rows(before, after)), announce, after.version)

    async def blockers_among(self, user_id: uuid.UUID, other_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
        """See StanceStore."""
        reads = [self._stances_cql.execute(self._among_blockers, (user_id, part)) for part in parts(other_ids)]
        return {row[0]: row[1] for rows in await asyncio.gather(*reads) for row in rows}

    async def list_stances(
        self, relation: Relation, user_id: uuid.UUID, before: uuid.UUID | None, limit: int, now_ms: int
    ) -> list[Stance]:
        """See StanceStore. A row counts only while it is that of the state, as with lists of follows."""
        found: list[Stance] = []
        position = before or AFTER_ALL
        while True:
            wanted = limit - len(found)
            rows = await self._stances_cql.execute(self._by_time, (user_id, relation, position, wanted))
            states = await self.stances(relation, user_id, [row[1] for row in rows])
            listed = [(row[0], state) for row, state in zip(rows, states, strict=True)]
            found += [state for row, state in listed if state.stance_id == row and state.holds(now_ms)]
            await self._clear([(row, state) for row, state in listed if _is_over(row, state, now_ms)])
            if len(rows) < wanted or len(found) == limit:
                return found
            position = rows[-1][0]

    async def versions(self, follower_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """See GraphStore."""
        return {one: versions.own for one, versions in (await self.viewer_versions(follower_ids)).items()}

    async def viewer_versions(self, user_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, ViewerVersions]:
        """See StanceStore. One query for 100 accounts."""
        reads = [self._stances_cql.execute(self._versions, (part,)) for part in parts(list(user_ids))]
        known = {row[0]: row for rows in await asyncio.gather(*reads) for row in rows}
        return {one: _versions_of(known.get(one)) for one in user_ids}

    async def raise_versions(self, own: Mapping[uuid.UUID, int], blocked_by: Mapping[uuid.UUID, int]) -> None:
        """See StanceStore. A version is its own timestamp, so a lesser one loses."""
        writes = [(self._raise_own, user_id, version) for user_id, version in own.items()]
        writes += [(self._raise_blocked, user_id, version) for user_id, version in blocked_by.items()]
        await asyncio.gather(*(self._raised(*write) for write in writes))

    async def standing_count(self, relation: Relation, user_id: uuid.UUID, now_ms: int) -> int:
        """See StanceStore."""
        return sum(stance.holds(now_ms) for stance in await self._all_of(relation, user_id))

    async def kept_snapshot(self, user_id: uuid.UUID) -> Kept:
        """See StanceStore. One query of one partition."""
        row = next(iter(await self._stances_cql.execute(self._kept, (user_id,))), None)
        return Kept(_versions_of(row), (row[3] if row else None) or b"")

    async def keep_snapshot(self, user_id: uuid.UUID, snapshot: bytes) -> None:
        """See StanceStore."""
        await self._stances_cql.execute(self._keep, (user_id, snapshot))

    async def blocked_ids(self, user_id: uuid.UUID) -> list[uuid.UUID]:
        """Whom an account blocks."""
        return [stance.other_id for stance in await self._all_of(BLOCK, user_id)]

    async def mutes(self, user_id: uuid.UUID) -> list[Stance]:
        """The mutes of an account that nobody ended; the time of some may be over."""
        return await self._all_of(MUTE, user_id)

    async def blockers(self, user_id: uuid.UUID) -> tuple[list[uuid.UUID], bool]:
        """Who blocks an account, up to a bound, and whether there are more."""
        found: list[uuid.UUID] = []
        while True:
            after = found[-1] if found else BEFORE_ALL
            wanted = min(_PAGE, READ_BLOCKERS + 1 - len(found))
            rows = await self._stances_cql.execute(self._blockers, (user_id, after, wanted))
            found += [row[0] for row in rows]
            if len(rows) < wanted or len(found) > READ_BLOCKERS:
                return found[:READ_BLOCKERS], len(found) > READ_BLOCKERS

    async def _all_of(self, relation: Relation, user_id: uuid.UUID) -> list[Stance]:
        found: list[Stance] = []
        after = BEFORE_ALL
        while True:
            rows = await self._stances_cql.execute(self._all, (user_id, relation, after, _PAGE))
            found += [Stance(relation, user_id, *row) for row in rows if row[1]]
            if len(rows) < _PAGE:
                return found
            after = rows[-1][0]

    async def _raised(self, statement: Statement, user_id: uuid.UUID, version: int) -> None:
        async def write() -> Any:
            return await self._stances_cql.execute(statement, (user_id, version), timestamp_us=version)

        await until_acknowledged(write, ACKNOWLEDGED_WITHIN_S)

    async def _clear(self, rows: Sequence[tuple[uuid.UUID, Stance]]) -> None:
        for row, state in rows:
            key = (state.user_id, state.relation, row)
            try:
                await self._stances_cql.execute(self._unlist, key, timestamp_us=version_of(row))
            except Unavailable:
                log.warning("stale_stance_left", stance_id=str(row))

    def _stance_rows(self, before: Stance, after: Stance) -> Iterable[Row]:
        user_id, relation, other_id = after.user_id, int(after.relation), after.other_id
        yield self._set, (user_id, relation, other_id, after.stands, after.version, after.until_ms)
        yield self._raise_own, (user_id, after.version)
        # A state that is stored once more keeps its row: of a write and a deletion with one timestamp the deletion would win.
        if before.stands and before.version != after.version:
            yield self._unlist, (user_id, relation, before.stance_id)
        if after.stands:
            yield self._list, (user_id, relation, after.stance_id, other_id)
        if relation == BLOCK:
            yield self._raise_blocked, (other_id, after.version)
            if after.stands:
                yield self._block, (other_id, user_id, after.version)
            else:
                yield self._unblock, (other_id, user_id)


def _versions_of(row: Sequence[Any] | None) -> ViewerVersions:
    """Of a row that begins with an account and its two versions, or of none."""
    return ViewerVersions(row[1] or 0, row[2] or 0) if row else ViewerVersions(0, 0)


def _is_over(row: uuid.UUID, state: Stance, now_ms: int) -> bool:
    """Whether a row of the list by time has no meaning any more: one newer than its state belongs to a batch that is being applied."""
    expired = 0 < state.until_ms < now_ms - EXPIRED_KEPT_MS
    return state.version > version_of(row) or (expired and state.stance_id == row)
