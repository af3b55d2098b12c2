"""Over how many partitions the rows of one subject lie, by how many members it has; which tables are split, store.py says."""

import zlib
from dataclasses import dataclass

SHARDS = (1, 64, 4096)
"""How many partitions there are at each level, for ever: a row is found by the hash of its member."""

_FIRST = (0, 1, 65)


@dataclass(frozen=True, slots=True)
class Levels:
    """From which count on the rows of a subject are split. A row that was written stays; later ones go to the new level."""

    from_count: tuple[int, int] = (50_000, 3_000_000)

    def of(self, count: int) -> int:
        """The level that a count asks for. Levels that were reached are kept, see Count.level."""
        return sum(count >= least for least in self.from_count)


def shard_of(level: int, member: bytes) -> int:
    """The partition in which a member's row lies at a level. No two levels share one."""
    return _FIRST[level] + zlib.crc32(member) % SHARDS[level] if level else 0


def last_shard(level: int) -> int:
    """The partition with the greatest number at a level; they are numbered from 0 without a hole."""
    return _FIRST[level] + SHARDS[level] - 1
