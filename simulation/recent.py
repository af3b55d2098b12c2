"""What users wrote lately in memory, for unit tests and simulation; the promises are those of readers.recent."""

from dataclasses import dataclass, field


@dataclass
class RecordedWrites:
    """Own writes in the order in which they were recorded: (user, kind, value)."""

    seen: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        """See OwnWrites."""
        self.seen.append((user_id, kind, value))
