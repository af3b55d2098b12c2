"""What blocks and mutes are, and what a viewer's snapshot is made of; no I/O here. Follows are in domain.py."""

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from aviary.graph.v1 import events_pb2

from svc_graph.domain import Pair, follow_id, version_saying
from svc_graph.errors import CannotBlockSelf, CannotMuteSelf

Relation: TypeAlias = events_pb2.Relation.ValueType
BLOCK = events_pb2.RELATION_BLOCK
MUTE = events_pb2.RELATION_MUTE

STATE_LIFETIME_MS = 3_600_000
"""For so long a state is taken for the same: what was stored late and nobody answered may go unseen, and ends with it."""
SETTLED_US = 10_000_000
"""A change of so long ago is stored or failed. Until then another may be under way whose version is less, or its rows not all be there."""
LATE_US = STATE_LIFETIME_MS * 1000
"""What is stored later than this after it was begun is seen when names end, or its announcement comes."""
_STATE = struct.Struct(">BQQQ")
_FORMAT = 3


@dataclass(frozen=True, slots=True)
class Stance:
    """How an account stands to another in one respect. Of two states the one with the greater version is the later; 0: never set."""

    relation: Relation
    user_id: uuid.UUID
    other_id: uuid.UUID
    stands: bool = False
    version: int = 0
    until_ms: int = 0
    """When it ends by itself; 0 for never."""

    @property
    def stance_id(self) -> uuid.UUID:
        """Place of this state in lists by time."""
        return follow_id(Pair(self.user_id, self.other_id), self.version)

    def holds(self, now_ms: int) -> bool:
        """Whether it stands and its time is not over."""
        return self.stands and (not self.until_ms or self.until_ms > now_ms)


@dataclass(frozen=True, slots=True)
class ViewerVersions:
    """What a viewer's snapshot depends on: the version of the viewer's own changes, and that of who blocks the viewer."""

    own: int
    blocked_by: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The versions of a viewer now, and the snapshot that was kept last, packed, whatever its state; empty for none."""

    versions: ViewerVersions
    snapshot: bytes


@dataclass(frozen=True, slots=True)
class Ties:
    """How an account stands to everybody: whom it follows, blocks and mutes, and who blocks it, up to a bound."""

    followee_ids: Sequence[uuid.UUID]
    blocked_ids: Sequence[uuid.UUID]
    mutes: Sequence[Stance]
    blocked_by_ids: Sequence[uuid.UUID]
    more_blocked_by: bool


def ensure_other(relation: Relation, user_id: uuid.UUID, other_id: uuid.UUID) -> None:
    """Raise CannotBlockSelf, CannotMuteSelf when both are one account."""
    if user_id == other_id:
        if relation == BLOCK:
            raise CannotBlockSelf("an account cannot block itself", user_id=user_id)
        raise CannotMuteSelf("an account cannot mute itself", user_id=user_id)


def changed_stance(before: Stance, stands: bool, until_ms: int, least_us: int) -> Stance:
    """The state after `before`, of version `least_us` (the time now, usually) or later. The lowest bit says the state, as in a follow."""
    version = version_saying(max(least_us, before.version + 1), stands)
    return replace(before, stands=stands, until_ms=until_ms, version=version)


def is_settled(version: int, now_us: int) -> bool:
    """Whether a state of this version can have a name: whatever was under way when it was changed is stored or failed."""
    return version <= now_us - SETTLED_US


def may_be_named(version: int, now_us: int) -> bool:
    """Whether a process whose clock is some seconds ahead may have named a state of this version."""
    return version <= now_us - SETTLED_US // 2


def named_state(versions: ViewerVersions, now_us: int) -> bytes:
    """The name of a state of all four sets, as of now; none while a change is so young that others may be under way."""
    if not is_settled(max(versions.own, versions.blocked_by), now_us):
        return b""
    return _STATE.pack(_FORMAT, now_us // 1000, versions.own, versions.blocked_by)


def is_current(known: bytes, versions: ViewerVersions, now_ms: int) -> bool:
    """Whether nothing changed since a state was named, and it was named lately. False for bytes that name none."""
    if len(known) != _STATE.size:
        return False
    form, named_ms, own, blocked_by = _STATE.unpack(known)
    young = abs(now_ms - named_ms) < STATE_LIFETIME_MS
    return form == _FORMAT and young and (own, blocked_by) == (versions.own, versions.blocked_by)
