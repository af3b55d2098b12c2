"""How one viewer stands to everybody, and what a change does to it; pure. When it may be believed says viewers.py."""

from collections.abc import Set
from typing import NamedTuple

from aviary.graph.v1 import events_pb2, graph_pb2

from runtime.ids import split_ids

NOBODY: frozenset[bytes] = frozenset()


class Change(NamedTuple):
    """One respect in which `user_id` stands to `other_id`, as of `version` (microseconds of the write). `until_ms` ends a mute; 0: never.

    `certain`: it was told as it happened; a fact of a log may come again when others have followed.
    """

    user_id: bytes
    other_id: bytes
    relation: int
    set: bool
    version: int
    until_ms: int = 0
    certain: bool = True


class Sight(NamedTuple):
    """What of a snapshot rules look at."""

    follows: Set[bytes]
    apart: Set[bytes]
    """Between whom and the viewer a block stands, in either direction."""
    muted: Set[bytes]


EVERYTHING = Sight(NOBODY, NOBODY, NOBODY)
"""The sight of somebody without an account."""


class Snapshot:
    """How `viewer` stands to others. Holds every change of the viewer's own up to `version`, and those that were applied since.

    `state` is svc_graph's name for what was read; `changed` says that it is no longer that, because of what was applied.
    """

    __slots__ = (
        "_heard",
        "_muted",
        "_muted_until_ms",
        "_mutes",
        "apart",
        "blocked_by",
        "blocks",
        "changed",
        "follows",
        "more_blocked_by",
        "state",
        "version",
        "viewer",
    )

    def __init__(self, viewer: bytes, stored: graph_pb2.GetViewerSnapshotResponse) -> None:
        self.viewer = viewer
        self.state = stored.state
        self.version = stored.version
        self.follows = set(split_ids(stored.followee_ids))
        self.blocks = set(split_ids(stored.blocked_ids))
        self.blocked_by = set(split_ids(stored.blocked_by_ids))
        self.more_blocked_by = stored.more_blocked_by
        self.apart = self.blocks | self.blocked_by
        self._mutes = dict(zip(split_ids(stored.muted_ids), stored.muted_until_ms, strict=True))
        self.changed = False
        self._heard: dict[tuple[bytes, bytes, int], int] = {}
        self._muted: frozenset[bytes] = NOBODY
        self._muted_until_ms = 0

    def __len__(self) -> int:
        """How many ids it holds, about."""
        return len(self.follows) + 2 * len(self.apart) + len(self._mutes) + 1

    def muted(self, now_ms: int) -> Set[bytes]:
        """Whom the viewer mutes at that time."""
        if not self._mutes:
            return NOBODY
        if now_ms >= self._muted_until_ms:
            live = {other: until for other, until in self._mutes.items() if not until or until > now_ms}
            self._muted = frozenset(live)
            self._muted_until_ms = min((until for until in live.values() if until), default=1 << 63)
        return self._muted

    def apply(self, change: Change) -> bool:
        """Take a change over. False when the snapshot may be wrong afterwards, and must be read again: what hides is taken over then, too.

        Changes come in any order, and the snapshot may hold them, or later ones of the same pair, already.
        """
        key = (change.user_id, change.other_id, change.relation)
        heard = self._heard.get(key)
        if heard is not None and change.version <= heard:
            return True
        own = change.user_id == self.viewer
        # An own change that is later than every one that was read is later than what was read of its pair, too. Of others' changes
        # that is not known, so that a block is taken for the later state and an end of one is not.
        later = heard is not None or (own and change.version > self.version)
        if self._holds(change):
            # Of what was read already it is not known whether it is this state or a later one that is the same.
            if later:
                self._heard[key] = change.version
            return True
        if later or change.set == (change.relation != events_pb2.RELATION_FOLLOW):
            self._set(change, own)
            self._heard[key] = change.version
            self.changed = True
        return later or (change.set and not own and change.certain)

    def _holds(self, change: Change) -> bool:
        other = change.other_id
        if change.user_id != self.viewer:
            return (change.user_id in self.blocked_by) == change.set
        if change.relation == events_pb2.RELATION_FOLLOW:
            # A follow under a block is void.
            return (other in self.follows) == (change.set and other not in self.apart)
        if change.relation == events_pb2.RELATION_BLOCK:
            return (other in self.blocks) == change.set
        return self._mutes.get(other) == (change.until_ms if change.set else None)

    def _set(self, change: Change, own: bool) -> None:
        if change.relation == events_pb2.RELATION_MUTE:
            self._muted_until_ms = 0
            if change.set:
                self._mutes[change.other_id] = change.until_ms
            else:
                self._mutes.pop(change.other_id, None)
            return
        if change.relation == events_pb2.RELATION_FOLLOW:
            (self.follows.add if change.set else self.follows.discard)(change.other_id)
            return
        blocks, other = (self.blocks, change.other_id) if own else (self.blocked_by, change.user_id)
        if change.set:
            blocks.add(other)
            self.apart.add(other)
            self.follows.discard(other)
        else:
            blocks.discard(other)
            if other not in self.blocks and other not in self.blocked_by:
                self.apart.discard(other)
