"""The promises of StanceStore in memory; follows are in store_memory.py."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from google.protobuf.message import Message

from svc_graph.events import Announcement
from svc_graph.stances import BLOCK, MUTE, Kept, Relation, Stance, ViewerVersions
from svc_graph.store import READ_BLOCKERS

_Key = tuple[int, uuid.UUID]


class MemoryStances:
    """Blocks and mutes in dictionaries. No method awaits between reading and writing, so each is atomic."""

    def __init__(self, announce: Callable[[Message], None]) -> None:
        self._announce_stances = announce
        self._stances: dict[_Key, dict[uuid.UUID, Stance]] = defaultdict(dict)
        self._blockers: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
        self._own_versions: dict[uuid.UUID, int] = {}
        self._blocked_by_versions: dict[uuid.UUID, int] = {}
        self._kept_snapshots: dict[uuid.UUID, bytes] = {}

    async def stances(self, relation: Relation, user_id: uuid.UUID, other_ids: Sequence[uuid.UUID]) -> list[Stance]:
        """See StanceStore."""
        known = self._stances.get((relation, user_id), {})
        return [known.get(other, Stance(relation, user_id, other)) for other in other_ids]

    async def set_stance(self, before: Stance, after: Stance, announce: Sequence[Announcement]) -> None:
        """See StanceStore."""
        stored = self._stances[after.relation, after.user_id]
        if after.version > stored.get(after.other_id, before).version:
            stored[after.other_id] = after
            if after.relation == BLOCK:
                blockers = self._blockers[after.other_id]
                (blockers.add if after.stands else blockers.discard)(after.user_id)
        blocked = {after.other_id: after.version} if after.relation == BLOCK else {}
        await self.raise_versions({after.user_id: after.version}, blocked)
        for event in announce:
            self._announce_stances(event)

    async def blockers_among(self, user_id: uuid.UUID, other_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
        """See StanceStore."""
        found = self._blockers.get(user_id, set()) & set(other_ids)
        return {blocker: self._stances[BLOCK, blocker][user_id].version for blocker in found}

    async def list_stances(
        self, relation: Relation, user_id: uuid.UUID, before: uuid.UUID | None, limit: int, now_ms: int
    ) -> list[Stance]:
        """See StanceStore."""
        held = [stance for stance in self._stances.get((relation, user_id), {}).values() if stance.holds(now_ms)]
        older = [stance for stance in held if before is None or stance.stance_id < before]
        return sorted(older, key=lambda stance: stance.stance_id, reverse=True)[:limit]

    async def viewer_versions(self, user_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, ViewerVersions]:
        """See StanceStore."""
        return {
            one: ViewerVersions(self._own_versions.get(one, 0), self._blocked_by_versions.get(one, 0))
            for one in user_ids
        }

    async def standing_count(self, relation: Relation, user_id: uuid.UUID, now_ms: int) -> int:
        """See StanceStore."""
        return sum(stance.holds(now_ms) for stance in self.standing(relation, user_id))

    async def kept_snapshot(self, user_id: uuid.UUID) -> Kept:
        """See StanceStore."""
        return Kept((await self.viewer_versions([user_id]))[user_id], self._kept_snapshots.get(user_id, b""))

    async def keep_snapshot(self, user_id: uuid.UUID, snapshot: bytes) -> None:
        """See StanceStore. An hour does not pass here."""
        self._kept_snapshots[user_id] = snapshot

    async def raise_versions(self, own: Mapping[uuid.UUID, int], blocked_by: Mapping[uuid.UUID, int]) -> None:
        """See StanceStore."""
        for known, raised in ((self._own_versions, own), (self._blocked_by_versions, blocked_by)):
            for user_id, version in raised.items():
                known[user_id] = max(version, known.get(user_id, 0))

    def standing(self, relation: Relation, user_id: uuid.UUID) -> list[Stance]:
        """The blocks or mutes of an account that nobody ended."""
        return [stance for stance in self._stances.get((relation, user_id), {}).values() if stance.stands]

    def stance_parts(self, user_id: uuid.UUID) -> tuple[list[uuid.UUID], list[Stance], list[uuid.UUID], bool]:
        """Of Ties all but the follows."""
        blockers = sorted(self._blockers.get(user_id, ()))
        blocked = [stance.other_id for stance in self.standing(BLOCK, user_id)]
        return blocked, self.standing(MUTE, user_id), blockers[:READ_BLOCKERS], len(blockers) > READ_BLOCKERS
