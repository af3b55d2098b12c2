"""The book of readers' presence in memory, for unit tests and simulation; the promises are those of readers.presence."""

from collections import defaultdict
from collections.abc import Sequence


class MemoryPresence:
    """The same book in memory, for unit tests and simulation; edges live until they are told to die."""

    def __init__(self) -> None:
        self._edges: dict[bytes, dict[bytes, None]] = defaultdict(dict)
        self._living: set[bytes] = set()

    async def arrive(self, user_id: bytes, edge_id: bytes) -> None:
        """See Presence."""
        self._edges[user_id][edge_id] = None

    async def leave(self, user_id: bytes, edge_id: bytes) -> None:
        """See Presence."""
        self._edges[user_id].pop(edge_id, None)

    async def beat(self, edge_id: bytes) -> bool:
        """See Presence."""
        known = edge_id in self._living
        self._living.add(edge_id)
        return known

    def die(self, edge_id: bytes) -> None:
        """The edge stopped beating."""
        self._living.discard(edge_id)

    async def edges_of(self, user_ids: Sequence[bytes]) -> dict[bytes, list[bytes]]:
        """See Readers."""
        where: dict[bytes, list[bytes]] = defaultdict(list)
        for user_id in user_ids:
            for edge_id in self._edges.get(user_id, {}):
                if edge_id in self._living:
                    where[edge_id].append(user_id)
        return dict(where)
