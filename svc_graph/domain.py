"""What a follow is, and how versions order its states whoever writes them; no I/O here."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runtime.ids import ms_of, uuid7_of
from svc_graph.errors import CannotFollowSelf

_HASH_BITS = 64
_RAND_A_MASK = 0xFFF


class Pair(NamedTuple):
    """Who follows, or might follow, whom."""

    follower_id: uuid.UUID
    followee_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Edge:
    """One state of a pair. Of two states the one with the greater version is the later; version 0: never set."""

    pair: Pair
    following: bool = False
    version: int = 0

    @property
    def follow_id(self) -> uuid.UUID:
        """Place of this state in lists by time."""
        return follow_id(self.pair, self.version)


@dataclass(frozen=True, slots=True)
class Change:
    """A state and the one that takes its place."""

    before: Edge
    after: Edge


@dataclass(frozen=True, slots=True)
class ListedFollow:
    """An entry of a list by time: the account at the other end, and the id that says since when."""

    follow_id: uuid.UUID
    user_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Whom an account follows; no change up to `version` (microseconds) is missing."""

    followee_ids: Sequence[uuid.UUID]
    version: int


@dataclass(frozen=True, slots=True)
class Shard:
    """One partition of an account's followers."""

    level: int
    bucket: int


WHOLE = Shard(level=0, bucket=0)


def pair_of(follower_id: uuid.UUID, followee_id: uuid.UUID) -> Pair:
    """The pair. Raises CannotFollowSelf when both are one account."""
    if follower_id == followee_id:
        raise CannotFollowSelf("an account cannot follow itself", user_id=follower_id)
    return Pair(follower_id, followee_id)


def changed_together(edges: Sequence[Edge], following: bool, least_us: int) -> list[Change]:
    """Changes of several pairs that share one version: `least_us` (the time now, usually), or later than all stored states.

    The lowest bit of a version says the state. So two processes that change one pair in the same microsecond either write
    the same cells or have different versions: no tie is ever left to the rules of the database.
    """
    version = version_saying(max(least_us, *(edge.version + 1 for edge in edges)), following)
    return [Change(edge, Edge(edge.pair, following, version)) for edge in edges]


def ended_by_block(edge: Edge) -> Edge:
    """The end of a follow that a block ends: the very next version, so that it is the same whoever works it out, and when."""
    return Edge(edge.pair, False, version_saying(edge.version + 1, False))


def version_saying(least: int, state: bool) -> int:
    """The least version from `least` on whose lowest bit says the state."""
    return least + ((least & 1) ^ int(state))


def follow_id(pair: Pair, version: int) -> uuid.UUID:
    """A UUIDv7 that depends on pair and version alone and sorts by version: written twice, a follow is one row."""
    ms, us = divmod(version, 1000)
    both = hashlib.blake2b(pair.follower_id.bytes + pair.followee_id.bytes, digest_size=_HASH_BITS // 8).digest()
    return uuid7_of(ms, (us << _HASH_BITS) | int.from_bytes(both))


def version_of(follow: uuid.UUID) -> int:
    """The version that a follow_id was made of."""
    return ms_of(follow.bytes) * 1000 + ((follow.int >> _HASH_BITS & _RAND_A_MASK) >> 2)
