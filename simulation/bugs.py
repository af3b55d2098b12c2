"""Bugs to plant, which the simulation must find before its silence counts for anything. `Sound` plants none."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

from aviary.graph.v1.graph_pb2_grpc import GraphServiceAsyncStub
from google.protobuf.message import Message

from outbox import OutboxRow
from relations.snapshot import Change
from relations.viewers import Relations
from runtime.bus import Bus
from runtime.bus.envelope import PARTITIONS
from runtime.ids import Clock
from simulation.servers import RemoteTable, events_of
from svc_engage.counting.known import KnownRows
from svc_engage.domain.relations import Count, Kind, Subject
from svc_engage.store import Position
from svc_engage.store_memory import MemoryEngageStore
from svc_timeline.config import Limits
from svc_timeline.windows_memory import MemoryWindows


class Sound:
    """The parts that a run is built of, as they should be. A bug replaces one of them."""

    name = "sound"

    def windows(self, clock: Clock, limits: Limits) -> MemoryWindows:
        """The cached windows."""
        return MemoryWindows(clock, limits)

    def table(self, table: RemoteTable) -> Any:
        """The outbox tables as a relay sees them."""
        return table

    def store(self, store: Any, bus: Bus) -> Any:
        """A store that announces what it stores."""
        return store

    def relations(self, graph: GraphServiceAsyncStub, clock: Clock, now: Callable[[], float]) -> Relations:
        """What an edge knows of how people stand to each other."""
        return Relations(graph, clock, now)

    def engage_store(self, store: MemoryEngageStore) -> Any:
        """What is stored of counts and likes."""
        return store

    def counted(self, store: Any) -> Any:
        """The same as those see it who count."""
        return store

    def known_rows(self) -> KnownRows:
        """What a process knows of rows without reading them."""
        return KnownRows()


class PublishBeforeWrite(Sound):
    """The announcement is sent first, and what it announces is stored afterwards."""

    name = "publish-before-write"

    def store(self, store: Any, bus: Bus) -> Any:
        """See Sound."""
        return _Hasty(store, bus)


class WatermarkTooEarly(Sound):
    """The watermark moves with the first look at a bucket: who begins there never looks at what came later, or was not published."""

    name = "watermark-too-early"

    def table(self, table: RemoteTable) -> Any:
        """See Sound."""
        return _Forward(table)


class FloorNotRaised(Sound):
    """A window that forgets its earliest arrivals still says that it has everything."""

    name = "floor-not-raised"

    def windows(self, clock: Clock, limits: Limits) -> MemoryWindows:
        """See Sound."""
        return _Forgetful(clock, limits)


class PositionBeforeCounts(Sound):
    """Whoever counts stores first how far, and then what."""

    name = "position-before-counts"

    def counted(self, store: Any) -> Any:
        """See Sound."""
        return _Hurried(store)


class AnyOwnersCount(Sound):
    """A count overwrites one that goes further: the one of who believes to own the partition still."""

    name = "any-owners-count"

    def engage_store(self, store: MemoryEngageStore) -> Any:
        """See Sound."""
        return _Unfenced()


class CountedTwice(Sound):
    """A change is added whether or not the count that is stored has it."""

    name = "counted-twice"

    def counted(self, store: Any) -> Any:
        """See Sound."""
        return _WithoutPlaces(store)


class OldRowsBelieved(Sound):
    """Whoever owns a partition again goes on with the rows as it counted them when it owned it before."""

    name = "old-rows-believed"

    def known_rows(self) -> KnownRows:
        """See Sound."""
        return _Nostalgic()


_DURABLE_OF = {Kind.LIKES: "engage-likes", Kind.TWEETS: "engage-tweets"}


class BlocksUnheard(Sound):
    """An edge that hears that svc_graph lives, and not what it says."""

    name = "blocks-unheard"

    def relations(self, graph: GraphServiceAsyncStub, clock: Clock, now: Callable[[], float]) -> Relations:
        """See Sound."""
        return _Deaf(graph, clock, now)


PLANTED: tuple[type[Sound], ...] = (
    BlocksUnheard,
    PublishBeforeWrite,
    WatermarkTooEarly,
    FloorNotRaised,
    PositionBeforeCounts,
    AnyOwnersCount,
    CountedTwice,
    OldRowsBelieved,
)


class _Hasty:
    def __init__(self, store: Any, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **named: Any) -> Any:
            announce: Message | Sequence[Message] = named.get("announce", ())
            if announce:
                await self._bus.publish(*events_of(announce))
            return await method(*args, **named)

        return call


class _Deaf(Relations):
    def _learn(self, change: Change) -> None:
        """In one ear and out of the other."""


class _Forward:
    def __init__(self, table: RemoteTable) -> None:
        self._table = table

    def insert(self, row: OutboxRow) -> OutboxRow:
        return row

    async def rows(self, first: int, last: int) -> list[OutboxRow]:
        found: list[OutboxRow] = await self._table.rows(first, last)
        await self._table.move_watermark(last)
        return found

    async def count(self, first: int, last: int) -> tuple[int, int | None]:
        counted: tuple[int, int | None] = await self._table.count(first, last)
        return counted

    async def delete(self, rows: Iterable[Sequence[Any]]) -> None:
        await self._table.delete(rows)

    async def watermark(self) -> int:
        bucket: int = await self._table.watermark()
        return bucket

    async def move_watermark(self, bucket: int) -> None:
        await self._table.move_watermark(bucket)


class _Forgetful(MemoryWindows):
    def _trim(self, kept: Any) -> None:
        floor = kept.floor
        super()._trim(kept)
        kept.floor = floor


class _Hurried:
    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put_counts(self, counts: Mapping[Subject, Count], repaired: bool = False) -> None:
        for (subject_id, kind), count in counts.items():
            durable = _DURABLE_OF.get(kind, "engage-follows")
            await self._store.put_positions([Position(durable, crc32(subject_id) % PARTITIONS, count.as_of)])
        await self._store.put_counts(counts, repaired)


class _Unfenced(MemoryEngageStore):
    async def put_counts(self, counts: Mapping[Subject, Count], repaired: bool = False) -> None:
        self._counts |= counts


class _WithoutPlaces:
    """Rows do not tell up to where they are counted."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def counts(self, subjects: Collection[Subject]) -> dict[Subject, Count]:
        found: dict[Subject, Count] = await self._store.counts(subjects)
        return {subject: replace(count, as_of=1) for subject, count in found.items()}


class _Nostalgic(KnownRows):
    def _of(self, owner: object, subject: Subject) -> Any:
        return self._counted.get(subject)
