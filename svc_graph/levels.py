"""Over how many partitions an account's followers spread, and at which of them a follow is written and looked for; no I/O here.

An account begins at level 0, one partition. A level that is full is left as it is and the next one opened: what follows from
then on is written there, and readers look at all levels up to it. Nothing is ever moved, so nothing can be lost on the way.
"""

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from svc_graph.domain import Shard, version_of

PARTITIONS = (1, 64, 4096)
"""Of `followers`, at each level."""
TOP = len(PARTITIONS) - 1
SLOT_US = (0, 24 * 3600 * 1_000_000, 3600 * 1_000_000)
"""How long a partition of the list by time lasts at each level; at level 0 it is one for ever."""
_LATE_US = 3600 * 1_000_000
"""Longer than a write that was decided at one level can take to arrive, clocks and batch logs included."""
_LOOKS = 64
"""How often the followers of a partition are counted before it is full, about."""


@dataclass(frozen=True, slots=True)
class Level:
    """`read` is the greatest level at which a follow may be, `written` the one at which new ones are added."""

    read: int = 0
    written: int = 0
    opened_us: tuple[int, ...] = ()
    """When adding began at level 1, 2, as far as it did."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """One partition of an account's followers that may be full."""

    followee_id: uuid.UUID
    shard: Shard


def shards(level: Level) -> list[Shard]:
    """Every partition in which a follower may be."""
    return [Shard(each, bucket) for each in range(level.read + 1) for bucket in range(PARTITIONS[each])]


def shard_of(follower_id: uuid.UUID, level: int) -> Shard:
    """The partition of a follower at a level, the same for ever."""
    return Shard(level, _hash(follower_id) % PARTITIONS[level])


def places(follower_id: uuid.UUID, level: Level) -> list[Shard]:
    """Every partition in which this follower may be."""
    return [shard_of(follower_id, each) for each in range(level.read + 1)]


def slot_of(follow: uuid.UUID, level: int) -> int:
    """The partition of a follow in the list by time at a level above 0."""
    return version_of(follow) // SLOT_US[level]


def listed_at(follow: uuid.UUID, level: Level) -> Iterator[int]:
    """The levels at which a follow of that time may be listed: one, or two for what came while a level was opened."""
    version = version_of(follow)
    began = (0, *level.opened_us)
    for each in range(level.read + 1):
        after_begin = each >= len(began) or version >= began[each] - _LATE_US
        before_end = each + 1 >= len(began) or version <= began[each + 1] + _LATE_US
        if after_begin and before_end:
            yield each


def is_worth_a_look(follower_id: uuid.UUID, partition_followers: int) -> bool:
    """Whether this follower's coming is a reason to count the partition: one in so many is, always the same ones."""
    return _hash(follower_id) // PARTITIONS[TOP] % max(1, partition_followers // _LOOKS) == 0


def _hash(follower_id: uuid.UUID) -> int:
    return int.from_bytes(hashlib.blake2b(follower_id.bytes, digest_size=8).digest())
