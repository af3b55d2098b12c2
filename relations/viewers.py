"""Snapshots of viewers, kept true by what svc_graph signals and asked for otherwise. What a change does is in snapshot.py."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence, Set
from typing import TypeVar

import grpc
from aviary.graph.v1 import events_pb2, graph_pb2
from aviary.graph.v1.graph_pb2_grpc import GraphServiceAsyncStub
from grpc import aio
from prometheus_client import Counter

from flights import LOAD_DEADLINE_S, Flights
from flights.ahead import Ahead
from flights.gathering import Gathering
from relations.snapshot import EVERYTHING, Change, Sight, Snapshot
from runtime import telemetry
from runtime.bus import Bus, Stop
from runtime.context import carried
from runtime.ids import Clock
from signals.epochs import Epochs

HELD_IDS = 1_000_000
CHECKED_EVERY_S = 30.0
"""A snapshot is compared with its owner's now and then all the same: a write that nobody signalled is known after this time."""
COMPARED_S = 22.0
"""One that is asked for when it is as old is compared behind the backs of those who ask."""
FRESH_S = 0.5
"""While signals are missing, what was read so lately is believed: who hides something then answers a second after it."""
AWAY_S = 600.0
"""While svc_graph does not answer, what it said last is believed for so long."""
QUIET_S = 1.0
"""After somebody waited in vain, who is content with an old snapshot does not wait for so long."""
KNOWN_AFTER = 3
"""Of whom one pair was asked so often, the whole snapshot is asked for: most who do something once do it no second time soon."""
_PAIRS_AT_ONCE = 100
_COMPARED_AT_ONCE = 100
_COMPARING = 2
"""Rpcs that compare snapshots, at a time; of 100 viewers each."""
_READING = 16
_PAIRING = 4
_PAIRS_TOGETHER = 32
_PAIRED_REMEMBERED = 10_000
_NEVER = -1
_DOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

OLD = Counter("aviary_relations_old_total", "Times that an old snapshot served because svc_graph did not answer.")

log = telemetry.logger(__name__)


V = TypeVar("V")
_Pair = tuple[bytes, bytes]
_Known = tuple[bytes, bytes]
"""A viewer, and the name of the state of a snapshot."""


class _Kept:
    """A snapshot, and as of when it is true: `read_at` (monotonic seconds) in `epoch`. Doubted: something may be wrong in it.

    It lacks no own change of the viewer up to `holds`. That is less than its version while its state has no name: then a change of
    that version may have been under way.
    """

    __slots__ = ("doubted", "epoch", "holds", "read_at", "size", "snapshot")

    def __init__(self, snapshot: Snapshot, epoch: int, read_at: float, doubted: bool, holds: int) -> None:
        self.snapshot = snapshot
        self.size = len(snapshot)
        self.epoch = epoch
        self.read_at = read_at
        self.doubted = doubted
        self.holds = holds


class Relations:
    """How viewers stand to others. A viewer without id is somebody without an account, who is apart from nobody.

    Within an epoch of RelationSignal a snapshot is true, for what is heard is applied to it; outside of one it is compared with its
    owner's, together with those of other viewers. What a viewer did, who knows its version gets at once: `at_least`. What is asked
    of svc_graph at a time is bounded, however many viewers come.
    """

    def __init__(
        self,
        graph: GraphServiceAsyncStub,
        clock: Clock,
        monotonic: Callable[[], float],
        room: int = HELD_IDS,
    ) -> None:
        self._stub = graph
        self._clock = clock
        self._now = monotonic
        self._room = room
        self._held = 0
        self._epochs = Epochs(monotonic, events_pb2.RelationSignal)
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._reading: dict[bytes, list[list[Change]]] = {}
        """For each read that is under way, what was heard of its viewer since it began."""
        self._flights = Flights(self._fetch, 1)
        self._comparing: Gathering[_Known, bool] = Gathering(
            self._compare, _COMPARED_AT_ONCE, _COMPARING, LOAD_DEADLINE_S
        )
        self._whole: Gathering[bytes, graph_pb2.GetViewerSnapshotResponse] = Gathering(
            self._read, 1, _READING, LOAD_DEADLINE_S
        )
        self._pairs: Gathering[_Pair, bool] = Gathering(self._ask_pairs, _PAIRS_TOGETHER, _PAIRING, LOAD_DEADLINE_S)
        self._paired: OrderedDict[bytes, int] = OrderedDict()
        """Of how many pairs of a viewer was asked whose snapshot is not known."""
        self._ahead = Ahead(self._renew, _COMPARED_AT_ONCE)
        self._flying_in: int | None = None
        self._quiet_until = monotonic()

    def cached(self, viewer: bytes, at_least: int = 0) -> Snapshot | None:
        """The snapshot, if it need not be asked for; it holds the viewer's own changes up to `at_least`."""
        kept = self._kept.get(viewer)
        if kept is None or kept.doubted or kept.holds < at_least:
            return None
        epoch = self._epochs.epoch()
        if epoch is not None and kept.epoch != epoch:
            return None
        age = self._now() - kept.read_at
        if age > (FRESH_S if epoch is None else CHECKED_EVERY_S):
            return None
        if age > COMPARED_S:
            self._ahead.soon(viewer)
        self._kept.move_to_end(viewer)
        return kept.snapshot

    async def get(self, viewer: bytes, at_least: int = 0, fresh: bool = False) -> Snapshot:
        """A snapshot that holds the viewer's own changes up to `at_least`; `fresh`: everything before this call.

        Raises AioRpcError when svc_graph does not answer and nothing that is good enough is known.
        """
        snapshot = None if fresh else self.cached(viewer, at_least)
        if snapshot is not None:
            return snapshot
        epoch, asked_at = self._epochs.epoch(), self._now()
        if epoch != self._flying_in:
            # A read that began before a gap may lack what was not heard meanwhile.
            self._flights.forget()
            self._flying_in = epoch
        old = None if fresh else self._old(viewer, at_least)
        if old is None or self._now() >= self._quiet_until:
            try:
                share = not fresh and at_least == 0 and epoch is not None
                snapshot = (await self._flights.load([viewer], share))[viewer]
            except aio.AioRpcError as error:
                old = None if fresh else self._old(viewer, at_least)
                if error.code() not in _DOWN or old is None:
                    raise
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._quiet_until = self._now() + QUIET_S
                log.warning("relations_are_old")
            else:
                self._note(viewer, at_least, asked_at)
                return snapshot
        OLD.inc()
        return old

    async def _renew(self, viewers: list[bytes]) -> None:
        await asyncio.gather(*(self.get(viewer, fresh=True) for viewer in viewers))

    def _note(self, viewer: bytes, at_least: int, asked_at: float) -> None:
        """What was asked for since then holds what was answered before."""
        kept = self._kept.get(viewer)
        if kept is not None and kept.read_at >= asked_at:
            kept.holds = max(kept.holds, at_least)

    def _old(self, viewer: bytes, at_least: int) -> Snapshot | None:
        """The snapshot that serves while svc_graph does not answer."""
        kept = self._kept.get(viewer)
        if kept is None or kept.holds < at_least or self._now() - kept.read_at > AWAY_S:
            return None
        return kept.snapshot

    def sight(self, viewer: bytes, others: Collection[bytes] = (), at_least: int = 0) -> Sight | None:
        """How the viewer stands to all and to the others, if nothing has to be asked.

        Of `others` it is known for certain who is apart; of all but them only up to 10,000 who block the viewer.
        """
        if not viewer:
            return EVERYTHING
        snapshot = self.cached(viewer, at_least)
        return None if snapshot is None or (others and snapshot.more_blocked_by) else self._sight(snapshot)

    async def ask_sight(
        self, viewer: bytes, others: Collection[bytes] = (), at_least: int = 0, fresh: bool = False
    ) -> Sight:
        """As `sight`, asking for what is not known. Raises AioRpcError."""
        if not viewer:
            return EVERYTHING
        snapshot = await self.get(viewer, at_least, fresh)
        sight = self._sight(snapshot)
        if not (others and snapshot.more_blocked_by):
            return sight
        return sight._replace(apart=sight.apart | await self._blocking(viewer, [*set(others) - sight.apart]))

    def _sight(self, snapshot: Snapshot) -> Sight:
        return Sight(snapshot.follows, snapshot.apart, snapshot.muted(self._clock.now_ms()))

    async def _blocking(self, viewer: bytes, others: list[bytes]) -> Set[bytes]:
        """Those of the others who block the viewer, or are blocked."""
        parts = [others[start : start + _PAIRS_AT_ONCE] for start in range(0, len(others), _PAIRS_AT_ONCE)]
        return set[bytes]().union(*[await self._apart_of(viewer, part) for part in parts])

    async def _apart_of(self, user_id: bytes, others: Sequence[bytes]) -> Set[bytes]:
        request = graph_pb2.GetRelationshipsRequest(user_id=user_id, other_ids=others, blocks_only=True)
        answer = await self._stub.GetRelationships(request)
        return {entry.user_id for entry in answer.entries if entry.blocked_by or entry.blocking}

    def apart(self, viewer: bytes, other: bytes) -> bool | None:
        """Whether a block stands between two, in either direction; None when it must be asked for."""
        sight = self.sight(viewer, [other])
        return None if sight is None else other in sight.apart

    async def ask_apart(self, viewer: bytes, other: bytes) -> bool:
        """As `apart`, asking for what is not known: of somebody who is seen for the first time only this. Raises AioRpcError."""
        if viewer and viewer not in self._kept:
            seen = self._paired.pop(viewer, 0) + 1
            if seen < KNOWN_AFTER:
                self._paired[viewer] = seen
                if len(self._paired) > _PAIRED_REMEMBERED:
                    self._paired.popitem(last=False)
                return bool(await _in_time(self._pairs.of((other, viewer))))
        return other in (await self.ask_sight(viewer, [other])).apart

    async def _ask_pairs(self, pairs: list[_Pair]) -> Mapping[_Pair, bool]:
        """Of those who wait for the same account at once: many who like one tweet."""
        asked: dict[bytes, list[bytes]] = {}
        for one, other in pairs:
            asked.setdefault(one, []).append(other)
        apart = await asyncio.gather(*(self._apart_of(one, others) for one, others in asked.items()))
        found = dict(zip(asked, apart, strict=True))
        return {(one, other): other in found[one] for one, other in pairs}

    async def heard(self, signal: events_pb2.RelationSignal) -> None:
        """A signal arrived."""
        self._epochs.heard(signal)
        for c in signal.changes:
            self._learn(Change(c.user_id, c.other_id, c.relation, c.set, c.version, c.until_ms))

    async def announced_follow(self, event: events_pb2.FollowSet) -> None:
        """A follow was announced: also one that nobody signalled, because its process died or never learned that it stands."""
        follow, version = events_pb2.RELATION_FOLLOW, event.version
        self._learn(Change(event.follower_id, event.followee_id, follow, event.following, version, certain=False))

    async def announced_block(self, event: events_pb2.BlockSet) -> None:
        """A block was announced, as follows are."""
        block, version = events_pb2.RELATION_BLOCK, event.version
        self._learn(Change(event.blocker_id, event.blocked_id, block, event.blocking, version, certain=False))

    def _learn(self, change: Change) -> None:
        both = change.relation == events_pb2.RELATION_BLOCK
        concerned = (change.user_id, change.other_id) if both else (change.user_id,)
        for viewer in concerned:
            for heard in self._reading.get(viewer, ()):
                heard.append(change)
            kept = self._kept.get(viewer)
            if kept is not None:
                kept.doubted = not kept.snapshot.apply(change) or kept.doubted

    async def _fetch(self, viewers: list[bytes]) -> Mapping[bytes, Snapshot]:
        (viewer,) = viewers
        kept = self._kept.get(viewer)
        epoch = self._epochs.epoch()
        asked_at = self._now()
        # What was applied to a snapshot is in no state that svc_graph knows.
        known = kept.snapshot.state if kept is not None and not kept.snapshot.changed else b""
        heard: list[Change] = []
        self._reading.setdefault(viewer, []).append(heard)
        try:
            same = bool(known) and bool(await _in_time(self._comparing.of((viewer, known))))
            old = kept if same else None
            answer = None if old is not None else await _in_time(self._whole.of(viewer))
        finally:
            self._reading[viewer].remove(heard)
            if not self._reading[viewer]:
                del self._reading[viewer]
        if old is not None:
            snapshot, holds = old.snapshot, old.holds
        else:
            assert answer is not None, "each viewer has a snapshot"
            snapshot, holds = Snapshot(viewer, answer), answer.version if answer.state else 0
        # Also to the old one: another read may have taken its place meanwhile, and what was heard since then is in that one alone.
        doubted = sum(map(snapshot.apply, heard)) < len(heard)
        # Whether what was heard meanwhile doubted the old one is not told apart from doubts before.
        doubted = doubted or (old is not None and bool(heard) and old.doubted)
        self._keep(_Kept(snapshot, _NEVER if epoch is None else epoch, asked_at, doubted, holds))
        return {viewer: snapshot}

    async def _compare(self, known: list[_Known]) -> Mapping[_Known, bool]:
        """Which states are still so."""
        request = graph_pb2.CompareSnapshotsRequest(
            known=[graph_pb2.KnownSnapshot(user_id=viewer, state=state) for viewer, state in known]
        )
        answer = await self._stub.CompareSnapshots(request)
        return {(one.user_id, one.state): True for one in answer.unchanged}

    async def _read(self, viewers: list[bytes]) -> Mapping[bytes, graph_pb2.GetViewerSnapshotResponse]:
        (viewer,) = viewers
        return {viewer: await self._stub.GetViewerSnapshot(graph_pb2.GetViewerSnapshotRequest(user_id=viewer))}

    def _keep(self, read: _Kept) -> None:
        viewer = read.snapshot.viewer
        kept = self._kept.get(viewer)
        if kept is not None and kept.read_at > read.read_at:
            return
        self._drop(viewer)
        self._kept[viewer] = read
        self._held += read.size
        while self._held > self._room:
            self._drop(next(iter(self._kept)))

    def _drop(self, viewer: bytes) -> None:
        dropped = self._kept.pop(viewer, None)
        if dropped is not None:
            self._held -= dropped.size


async def _in_time(answer: Awaitable[V]) -> V:
    """What is waited for no longer than the work at hand may take. Raises AioRpcError, also when too many wait for svc_graph."""
    try:
        async with asyncio.timeout(carried()[1]):
            return await answer
    except TimeoutError as error:
        late = grpc.StatusCode.DEADLINE_EXCEEDED
        raise aio.AioRpcError(late, aio.Metadata(), aio.Metadata(), "too many wait for svc_graph") from error


async def listen(relations: Relations, bus: Bus) -> Stop:
    """Let snapshots hear what changes; without it they are right too, but ask more. Await the result to stop."""
    stops = [
        await bus.listen(events_pb2.RelationSignal, relations.heard),
        await bus.listen(events_pb2.FollowSet, relations.announced_follow),
        await bus.listen(events_pb2.BlockSet, relations.announced_block),
    ]

    async def stop() -> None:
        for each in stops:
            await each()

    return stop
