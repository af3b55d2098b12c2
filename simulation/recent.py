"""What users wrote lately in memory, for unit tests and simulation; the promises are those of readers.recent."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from readers.recent import OwnWrite


@dataclass
class RecordedWrites:
    """Own writes in the order in which they were recorded: (user, kind, value)."""

    seen: list[OwnWrite] = field(default_factory=list)

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> bool:
        """See OwnWrites."""
        self.seen.append((user_id, kind, value))
        return True

    async def record_all(self, writes: Sequence[OwnWrite]) -> bool:
        """See ManyOwnWrites."""
        self.seen += writes
        return True
