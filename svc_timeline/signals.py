"""Signals to edge processes: a tweet has reached the homes of readers who are connected there; sockets are the edge's matter."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from aviary.timeline.v1.events_pb2 import HomeSignal

from runtime.bus import Bus
from svc_timeline.domain import Entry

# An edge has a new id at each start; those that were not signalled to for the longest are gone.
_EDGES = 10_000


class LiveSignals:
    """Numbers the signals to each edge, so that an edge notices one that was lost. One object for each process."""

    def __init__(self, bus: Bus, publisher_id: bytes) -> None:
        self._bus = bus
        self._publisher_id = publisher_id
        self._sequences: OrderedDict[bytes, int] = OrderedDict()

    async def send(self, entry: Entry, readers: Mapping[bytes, Sequence[bytes]]) -> None:
        """Tell every edge, with one signal each, which of its readers have a new entry.

        Raises Unavailable when the bus is away; the numbers of what was not sent are used up, so the edges notice.
        """
        await asyncio.gather(*(self._bus.signal(self._signal(entry, edge, ids)) for edge, ids in readers.items()))

    def _signal(self, entry: Entry, edge_id: bytes, reader_ids: Sequence[bytes]) -> HomeSignal:
        self._sequences[edge_id] = sequence = self._sequences.get(edge_id, 0) + 1
        self._sequences.move_to_end(edge_id)
        if len(self._sequences) > _EDGES:
            self._sequences.popitem(last=False)
        return HomeSignal(
            edge_id=edge_id,
            publisher_id=self._publisher_id,
            sequence=sequence,
            tweet_id=entry.entry_id,
            author_id=entry.author_id,
            reader_ids=b"".join(reader_ids),
        )
