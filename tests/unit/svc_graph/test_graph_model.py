"""svc_graph against a model: two processes on one store do everything at once, step by step, and die in between."""

import asyncio
import itertools
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, fields, replace
from typing import Any

import hypothesis.strategies as st
import pytest
from aviary.graph.v1.events_pb2 import RELATION_FOLLOW, BlockSet, FollowerSet, FollowSet, RelationSignal
from aviary.graph.v1.graph_pb2 import (
    CompareSnapshotsRequest,
    GetRelationshipsRequest,
    GetViewerSnapshotRequest,
    GetViewerSnapshotResponse,
    KnownSnapshot,
)
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cursors import Cursors, parse_keys
from runtime.context import Caller
from runtime.faults import NO_FAULTS
from runtime.ids import split_ids
from signals.publisher import Publisher
from simulation.bus import MemoryBus
from simulation.recent import RecordedWrites
from svc_graph import edges, follows, standing
from svc_graph.deps import Deps
from svc_graph.domain import Pair
from svc_graph.errors import Blocked
from svc_graph.limits import FollowLimits, StanceLimits
from svc_graph.rpcs.compare_snapshots import compare_snapshots
from svc_graph.rpcs.get_relationships import get_relationships
from svc_graph.rpcs.get_viewer_snapshot import get_viewer_snapshot
from svc_graph.snapshots import snapshot_of
from svc_graph.stances import BLOCK, MUTE, SETTLED_US, Kept
from svc_graph.store_memory import MemoryGraphStore
from svc_graph.turns import Turns
from svc_graph.workers import end_blocked_follows, end_void_follow

ACCOUNTS = [uuid.UUID(int=(0x0199 << 112) | n) for n in range(1, 3)]
PAIRS = [Pair(one, other) for one in ACCOUNTS for other in ACCOUNTS if one != other]
NOBODY = Caller()
SPINS = 12
FOREVER = 10**9

Key = tuple[str, uuid.UUID, uuid.UUID]


class Gate:
    """Calls of the store that wait to be let through, in the order in which they came."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.open = False

    async def passed(self) -> None:
        """Wait to be let through."""
        if not self.open:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn


class Remote:
    """The store as one process sees it: every call takes a way there, and every write one back."""

    def __init__(self, store: MemoryGraphStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._store, name)

        async def call(*args: Any, **named: Any) -> Any:
            await self._gate.passed()
            answer = await method(*args, **named)
            if name in ("apply", "set_stance", "raise_versions"):
                await self._gate.passed()
            return answer

        return call


class KeepsNothing:
    """A store in which no snapshot was kept."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def kept_snapshot(self, user_id: uuid.UUID) -> Kept:
        """See StanceStore."""
        return Kept((await self._store.viewer_versions([user_id]))[user_id], b"")

    async def keep_snapshot(self, user_id: uuid.UUID, snapshot: bytes) -> None:
        """See StanceStore."""


class Unpublished:
    """An outbox whose rows are in the store, and are published when the machine says so."""

    async def publish_soon(self, *events: Any) -> list[int]:
        """See Announcer."""
        return [0] * len(events)


class SkewedClock:
    """A clock that all read and some read wrong: the time in microseconds, and how much of it passes with each look."""

    def __init__(self, us: list[int], skew_us: int) -> None:
        self._us = us
        self._skew_us = skew_us

    def now_us(self) -> int:
        """See Clock."""
        self._us[0] += self._us[1]
        return self._us[0] + self._skew_us

    def now_ms(self) -> int:
        """See Clock."""
        return self.now_us() // 1000


@dataclass
class Op:
    """Something that was asked for: when it began and ended, in steps; what it sets each key to, if it is done."""

    effects: dict[Key, bool]
    began: int
    task: Any
    process: int
    name: str
    ended: int = FOREVER
    outcome: str = "open"


@dataclass
class Process:
    """One process: what it keeps, and where its calls wait."""

    deps: Deps
    gate: Gate = field(default_factory=Gate)


def both(one: uuid.UUID, other: uuid.UUID, state: bool) -> dict[Key, bool]:
    """The follows between two."""
    return {("follow", one, other): state, ("follow", other, one): state}


class Graph(RuleBasedStateMachine):
    """Accounts follow, block and mute each other through two processes, whose calls of the store take any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.us, self.steps = [1_760_000_000_000_000, 1], 0
        self.announced: list[Any] = []
        self.store = MemoryGraphStore(self.announced.append)
        self.recent = RecordedWrites()
        self.bus = MemoryBus()
        self.processes = [self.process(skew_us) for skew_us in (0, -3_000_000)]
        self.ops: list[Op] = []
        self.known: dict[uuid.UUID, GetViewerSnapshotResponse] = {}
        self.snapshots: list[GetViewerSnapshotResponse] = []
        """Held, so that none has the id of another."""
        self.viewer_of: dict[int, uuid.UUID] = {}
        self.deaths = 0
        self.voided: set[tuple[Pair, int]] = set()

    def process(self, skew_us: int) -> Process:
        """A new one, with nothing in its memory."""
        gate, clock = Gate(), SkewedClock(self.us, skew_us)
        store: Any = Remote(self.store, gate)
        # What nobody uses here is None: who exists, and who reads.
        ports: dict[str, Any] = dict.fromkeys(port.name for port in fields(Deps))
        ports |= {
            "store": store,
            "outbox": Unpublished(),
            "recent": self.recent,
            "signals": Publisher(self.bus, RelationSignal, b"p" * 16, silence_noticed_s=0),
            "limits": FollowLimits(store, 5000),
            "stance_limits": StanceLimits(store),
            "turns": Turns(),
            "cursors": Cursors(parse_keys("1:" + "ab" * 32), clock),
            "clock": clock,
            "faults": NO_FAULTS,
        }
        deps = Deps(**ports)
        return Process(deps, gate)

    def spin(self) -> None:
        """Let everybody go on who can."""

        async def for_a_while() -> None:
            for _ in range(SPINS):
                await asyncio.sleep(0)

        self.loop.run_until_complete(for_a_while())
        self.steps += 1
        for op in self.ops:
            if op.outcome == "open" and op.task.done():
                error = op.task.exception()
                assert error is None or isinstance(error, Blocked), repr(error)
                op.outcome, op.ended = ("refused" if error else "done"), self.steps

    def begin(self, name: str, effects: dict[Key, bool], process: int, work: Coroutine[Any, Any, Any]) -> None:
        """Ask a process for something."""
        self.ops.append(Op(effects, self.steps, self.loop.create_task(work), process, name))
        self.spin()

    @rule(pair=st.sampled_from(PAIRS), process=st.integers(0, 1))
    def follow(self, pair: Pair, process: int) -> None:
        work = follows.follow(pair, self.processes[process].deps)
        self.begin("follow", {("follow", *pair): True}, process, work)

    @rule(pair=st.sampled_from(PAIRS), process=st.integers(0, 1))
    def unfollow(self, pair: Pair, process: int) -> None:
        work = edges.unfollow(pair, self.processes[process].deps)
        self.begin("unfollow", {("follow", *pair): False}, process, work)

    @rule(pair=st.sampled_from(PAIRS), process=st.integers(0, 1))
    def block(self, pair: Pair, process: int) -> None:
        work = standing.block(*pair, self.processes[process].deps)
        self.begin("block", both(*pair, False) | {("block", *pair): True}, process, work)

    @rule(pair=st.sampled_from(PAIRS), process=st.integers(0, 1))
    def unblock(self, pair: Pair, process: int) -> None:
        work = standing.unblock(*pair, self.processes[process].deps)
        self.begin("unblock", {("block", *pair): False}, process, work)

    @rule(pair=st.sampled_from(PAIRS), process=st.integers(0, 1), stands=st.booleans())
    def mute(self, pair: Pair, process: int, stands: bool) -> None:
        deps = self.processes[process].deps
        work = standing.mute(*pair, 0, deps) if stands else standing.unmute(*pair, deps)
        self.begin("mute" if stands else "unmute", {("mute", *pair): stands}, process, work)

    @rule(pair=st.sampled_from(PAIRS), process=st.integers(0, 1))
    def mute_for_a_while(self, pair: Pair, process: int) -> None:
        """Until the next wait is over."""
        work = standing.mute(*pair, (self.us[0] + SETTLED_US) // 1000, self.processes[process].deps)
        self.begin("mute for a while", {("mute", *pair): True}, process, work)

    @rule(process=st.integers(0, 1))
    def run(self, process: int) -> None:
        """Everything that a process began ends, if the other one is not needed for it."""
        gate = self.processes[process].gate
        while gate.waiting:
            gate.waiting.pop(0).set_result(None)
            self.spin()

    @rule()
    def wait(self) -> None:
        """Until states have names, and are named: whoever is in the middle of something stood still for so long."""
        self.us[0] += SETTLED_US + 5_000_000
        for viewer in ACCOUNTS:
            self.look(viewer, 0)

    @precondition(lambda self: self.announced)
    @rule(data=st.data(), process=st.integers(0, 1))
    def deliver(self, data: Any, process: int) -> None:
        """An announcement arrives, perhaps again, perhaps long after everything changed."""
        self.handle(data.draw(st.sampled_from(self.announced)), process)

    def handle(self, event: Any, process: int) -> None:
        deps = self.processes[process].deps
        if isinstance(event, FollowSet):
            self.begin("deliver", {}, process, end_void_follow(event, deps))
        elif isinstance(event, BlockSet):
            self.begin("deliver", {}, process, end_blocked_follows(event, deps))

    @precondition(lambda self: any(process.gate.waiting for process in self.processes))
    @rule(data=st.data(), process=st.integers(0, 1), count=st.integers(1, 15))
    def go_on(self, data: Any, process: int, count: int) -> None:
        """Calls of the store get through."""
        gate = self.processes[process].gate
        for _ in range(count):
            if gate.waiting:
                which = data.draw(st.integers(0, len(gate.waiting) - 1)) if len(gate.waiting) > 1 else 0
                gate.waiting.pop(which).set_result(None)
                self.spin()

    @rule(process=st.integers(0, 1))
    def die(self, process: int) -> None:
        """SIGKILL: nothing of the process goes on, and what the store has stays."""
        self.deaths += 1
        self.processes[process] = self.process(0 if process == 0 else -3_000_000)
        self.steps += 1
        for op in self.ops:
            if op.process == process and op.outcome == "open":
                op.outcome, op.ended = "unknown", self.steps

    @rule(viewer=st.sampled_from(ACCOUNTS), skew_us=st.sampled_from([0, -3_000_000]))
    def looks(self, viewer: uuid.UUID, skew_us: int) -> None:
        """A cache looks."""
        self.look(viewer, skew_us)

    def look(self, viewer: uuid.UUID, skew_us: int) -> None:
        """A cache asks whether what it has is still so, and reads what is not."""
        known = self.known.get(viewer)
        if known is None or not self.unchanged(viewer, known, skew_us):
            self.known[viewer] = self.snapshot(viewer, skew_us)
        self.lacks_nothing(viewer, self.known[viewer])
        if all(op.outcome == "done" for op in self.ops) and not self.deaths:
            own = [
                int.from_bytes(value) for who, kind, value in self.recent.seen if (who, kind) == (viewer.bytes, b"g")
            ]
            assert self.known[viewer].version >= max(own, default=0)

    def lacks_nothing(self, viewer: uuid.UUID, snapshot: GetViewerSnapshotResponse) -> None:
        """It holds what is stored, of everything of which the last word was answered: nothing is under way or died about it."""
        stored = self.seen(self.stored(viewer))
        for kind, one, other in self.seen(snapshot) ^ stored:
            about = [("block", one, other), ("block", other, one), (kind, one, other)]
            assert not all(map(self.certain, about)), f"{kind} of {one} and {other}: it was said to be unchanged"

    def certain(self, key: Key) -> bool:
        """Whether nothing is on its way about it that nobody answered."""
        about = [op for op in self.ops if key in op.effects]
        last = max((op.began for op in about if op.outcome in ("done", "refused")), default=-1)
        return all(op.outcome in ("done", "refused") or op.ended < last for op in about)

    def seen(self, snapshot: GetViewerSnapshotResponse) -> set[Key]:
        """What a snapshot says, now."""
        me = self.viewer_of[id(snapshot)]
        muted = zip(split_ids(snapshot.muted_ids), snapshot.muted_until_ms, strict=True)
        live = [other for other, until in muted if not until or until > self.us[0] // 1000]
        found = {("follow", me, uuid.UUID(bytes=other)) for other in split_ids(snapshot.followee_ids)}
        found |= {("block", me, uuid.UUID(bytes=other)) for other in split_ids(snapshot.blocked_ids)}
        found |= {("block", uuid.UUID(bytes=other), me) for other in split_ids(snapshot.blocked_by_ids)}
        return found | {("mute", me, uuid.UUID(bytes=other)) for other in live}

    def stored(self, viewer: uuid.UUID) -> GetViewerSnapshotResponse:
        """What the rows say, whatever was kept."""
        deps = self.reading()
        store: Any = KeepsNothing(deps.store)
        return self.of(viewer, self.loop.run_until_complete(snapshot_of(viewer, replace(deps, store=store))))

    def unchanged(self, viewer: uuid.UUID, known: GetViewerSnapshotResponse, skew_us: int = 0) -> bool:
        request = CompareSnapshotsRequest(known=[KnownSnapshot(user_id=viewer.bytes, state=known.state)])
        answer = self.loop.run_until_complete(compare_snapshots(request, NOBODY, self.reading(skew_us)))
        return bool(answer.unchanged)

    @invariant()
    def nobody_sees_a_follow_under_a_block(self) -> None:
        """P46: from the answer of the block on, in whatever state its processes are."""
        for pair in PAIRS:
            if self.certainly_blocks(pair):
                for one, other in (pair, pair[::-1]):
                    assert other.bytes not in split_ids(self.snapshot(one).followee_ids)
                    request = GetRelationshipsRequest(user_id=one.bytes, other_ids=[other.bytes])
                    [entry] = self.loop.run_until_complete(get_relationships(request, NOBODY, self.reading())).entries
                    assert not entry.following and not entry.followed_by
                    assert entry.blocking or entry.blocked_by
                    request.blocks_only = True
                    [only] = self.loop.run_until_complete(get_relationships(request, NOBODY, self.reading())).entries
                    assert (only.blocking, only.blocked_by) == (entry.blocking, entry.blocked_by)

    @invariant()
    def a_mute_whose_time_is_over_is_none(self) -> None:
        run = self.loop.run_until_complete
        for one, other in PAIRS:
            [stance] = run(self.store.stances(MUTE, one, [other]))
            holds = stance.stands and not 0 < stance.until_ms <= self.us[0] // 1000
            request = GetRelationshipsRequest(user_id=one.bytes, other_ids=[other.bytes])
            [entry] = run(get_relationships(request, NOBODY, self.reading())).entries
            assert entry.muting == holds
            assert (("mute", one, other) in self.seen(self.stored(one))) == holds

    @invariant()
    def no_follow_comes_back_that_a_block_was_seen_over(self) -> None:
        """P46: not by an unblock either, whoever died before ending the follow."""
        run = self.loop.run_until_complete
        for pair in PAIRS:
            [edge] = run(self.store.edges([pair]))
            blocks = [run(self.store.stances(BLOCK, one, [other]))[0].stands for one, other in (pair, pair[::-1])]
            if edge.following and any(blocks):
                self.voided.add((pair, edge.version))
            assert not edge.following or any(blocks) or (pair, edge.version) not in self.voided

    def no_follow_outlives_an_answered_block(self) -> None:
        """Where nobody died no announcement is needed: of a follow and a block at the same moment one sees the other."""
        for pair in PAIRS:
            if self.certainly_blocks(pair):
                for edge in self.loop.run_until_complete(self.store.edges([pair, Pair(*pair[::-1])])):
                    assert not edge.following

    def certainly_blocks(self, pair: Pair) -> bool:
        """Whether a block was answered, and nobody tried to end it since it began."""
        key = ("block", *pair)
        done = [op for op in self.ops if op.effects.get(key) and op.outcome == "done"]
        undone = [op for op in self.ops if op.effects.get(key) is False]
        return any(all(end.ended < op.began for end in undone) for op in done)

    def reading(self, skew_us: int = 0) -> Deps:
        """A process whose calls do not wait."""
        process = self.process(skew_us)
        process.gate.open = True
        return process.deps

    def snapshot(self, viewer: uuid.UUID, skew_us: int = 0) -> GetViewerSnapshotResponse:
        request = GetViewerSnapshotRequest(user_id=viewer.bytes)
        found = self.loop.run_until_complete(get_viewer_snapshot(request, NOBODY, self.reading(skew_us)))
        return self.of(viewer, found)

    def of(self, viewer: uuid.UUID, snapshot: GetViewerSnapshotResponse) -> GetViewerSnapshotResponse:
        self.viewer_of[id(snapshot)] = viewer
        self.snapshots.append(snapshot)
        return snapshot

    def teardown(self) -> None:
        try:
            self.finish()
            self.check()
        finally:
            for op in self.ops:
                op.task.cancel()
            self.spin()
            self.loop.close()

    def finish(self) -> None:
        """Everything ends that can, and every announcement arrives: a relay sees to that."""
        delivered = 0
        while True:
            for process in self.processes:
                process.gate.open = True
                for turn in process.gate.waiting:
                    turn.set_result(None)
                process.gate.waiting.clear()
            self.spin()
            if any(op.outcome == "open" for op in self.ops):
                continue
            if delivered == len(self.announced):
                return
            # Late, as by a relay: whatever was named before.
            self.us[0] += SETTLED_US
            self.handle(self.announced[delivered], 0)
            delivered += 1

    def check(self) -> None:
        """What is stored agrees with what was answered, in every table and in the announcements."""
        run = self.loop.run_until_complete
        found: dict[Key, bool] = {}
        for pair in PAIRS:
            [edge] = run(self.store.edges([pair]))
            found["follow", *pair] = edge.following
            for name, relation in (("block", BLOCK), ("mute", MUTE)):
                found[name, *pair] = run(self.store.stances(relation, pair[0], [pair[1]]))[0].stands
            for kind in (FollowSet, FollowerSet):
                assert self.last_of(kind, pair, False) == edge.following
            assert self.last_of(BlockSet, pair, False) == found["block", *pair]
        for pair in PAIRS:
            if found["block", *pair]:
                assert not found["follow", *pair], "a follow outlived a block"
                assert not found["follow", *pair[::-1]], "a follow outlived a block"
        self.check_caches(found)
        for key, state in found.items():
            assert state in self.allowed(key), (key, state, [(o.name, o.began, o.ended, o.outcome) for o in self.ops])

    def check_caches(self, found: dict[Key, bool]) -> None:
        """What caches have, or were told, agrees with what is stored when every announcement has arrived."""
        for viewer, known in self.known.items():
            if known.state and self.unchanged(viewer, known):
                # Of mutes nothing is announced: one that nobody answered is seen when names end.
                wrong = self.seen(known) ^ self.seen(self.stored(viewer))
                assert not [key for key in wrong if key[0] != "mute" or self.certain(key)], "no name outlives a fact"
        for key, (version, state) in self.told().items():
            if self.certain(key):
                assert state == found[key], "the last that caches were told is not what is so"
                assert version

    def told(self) -> dict[Key, tuple[int, bool]]:
        """What caches were told of each, of the greatest version."""
        names = {RELATION_FOLLOW: "follow", BLOCK: "block", MUTE: "mute"}
        found: dict[Key, tuple[int, bool]] = {}
        for signal in self.bus.signals:
            for change in signal.changes:
                one, other = uuid.UUID(bytes=change.user_id), uuid.UUID(bytes=change.other_id)
                key = (names[change.relation], one, other)
                found[key] = max(found.get(key, (0, False)), (change.version, change.set))
        return found

    def last_of(self, kind: type[Any], pair: Pair, default: bool) -> bool:
        """The latest state that was announced of a pair: what whoever counts ends with."""
        of_pair = [
            (event.version, event.blocking if kind is BlockSet else event.following)
            for event in self.announced
            if isinstance(event, kind) and ends(event) == (pair[0].bytes, pair[1].bytes)
        ]
        return max(of_pair, default=(0, default))[1]

    def allowed(self, key: Key) -> set[bool]:
        """States that some order of what was asked for leaves: that of anything with nothing answered wholly after it."""
        about = [op for op in self.ops if key in op.effects and op.outcome != "refused"]
        answered = [op for op in about if op.outcome == "done"]
        last = [op for op in about if not any(op.ended < later.began for later in answered)]
        states = {op.effects[key] for op in last}
        return states if answered else states | {False}


def ends(event: Any) -> tuple[bytes, bytes]:
    """Who acted towards whom."""
    if isinstance(event, BlockSet):
        return event.blocker_id, event.blocked_id
    return event.follower_id, event.followee_id


@pytest.fixture(autouse=True)
def small_snapshots_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of two accounts, too."""
    monkeypatch.setattr("svc_graph.snapshots.KEPT_BYTES", range(1, 1 << 20))


def run_machine(examples: int, steps: int) -> None:
    """Look for a sequence that breaks a promise."""
    run_state_machine_as_test(Graph, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None))


def test_whatever_two_processes_do_at_once_and_wherever_they_die_the_graph_agrees_with_the_model() -> None:
    """P46, P50, P51."""
    run_machine(30, 40)


ALICE, BOB = ACCOUNTS
CHANGES: dict[str, Callable[[Graph, int], None]] = {
    "follow": lambda graph, process: graph.follow(pair=Pair(ALICE, BOB), process=process),
    "unfollow": lambda graph, process: graph.unfollow(pair=Pair(ALICE, BOB), process=process),
    "block": lambda graph, process: graph.block(pair=Pair(ALICE, BOB), process=process),
    "unblock": lambda graph, process: graph.unblock(pair=Pair(ALICE, BOB), process=process),
    "be blocked": lambda graph, process: graph.block(pair=Pair(BOB, ALICE), process=process),
    "be unblocked": lambda graph, process: graph.unblock(pair=Pair(BOB, ALICE), process=process),
    "mute": lambda graph, process: graph.mute(pair=Pair(ALICE, BOB), process=process, stands=True),
    "unmute": lambda graph, process: graph.mute(pair=Pair(ALICE, BOB), process=process, stands=False),
}
BEFORE = ((), ("follow", "mute"), ("block",))


@pytest.mark.parametrize("dies", [False, True], ids=["goes on", "dies"])
@pytest.mark.parametrize("held", CHANGES)
def test_a_change_that_stands_still_anywhere_while_another_is_made_and_named_is_seen_when_it_is_answered(
    held: str, dies: bool
) -> None:
    """P46, P50: at each of its calls of the store, for longer than it takes until states have names; or its process dies there."""
    for before, other in itertools.product(BEFORE, CHANGES):
        passed = 0
        while stands_still(held, other, before, passed, dies):
            passed += 1


def stands_still(held: str, other: str, before: tuple[str, ...], passed: int, dies: bool) -> bool:
    """One way of it; whether the change that is held was not at its end yet."""
    graph = Graph()
    try:
        for change in before:
            CHANGES[change](graph, 0)
            graph.run(0)
        graph.wait()
        CHANGES[held](graph, 1)
        gate = graph.processes[1].gate
        for _ in range(passed):
            if gate.waiting:
                gate.waiting.pop(0).set_result(None)
                graph.spin()
        stood = bool(gate.waiting)
        CHANGES[other](graph, 0)
        graph.run(0)
        graph.wait()
        (graph.die if dies else graph.run)(1)
        for viewer in ACCOUNTS:
            graph.look(viewer, 0)
        if not dies:
            graph.no_follow_outlives_an_answered_block()
        else:
            # It is tried again, and answered.
            CHANGES[held](graph, 1)
            graph.run(1)
            for viewer in ACCOUNTS:
                graph.look(viewer, 0)
        graph.nobody_sees_a_follow_under_a_block()
        graph.no_follow_comes_back_that_a_block_was_seen_over()
    finally:
        graph.teardown()
    return stood


@pytest.mark.parametrize("changes", [("follow", "unfollow"), ("block", "unblock"), ("mute", "unmute")])
def test_of_two_that_change_one_pair_in_the_same_microsecond_what_is_announced_is_what_counts(
    changes: tuple[str, str],
) -> None:
    """P51: a change that was decided by a clock one ahead, and stored when another was made and ended at that very time."""
    for passed, odd in itertools.product(range(6), (0, 1)):
        graph = Graph()
        graph.processes[1] = graph.process(1)
        gate = graph.processes[1].gate
        try:
            graph.us[:] = [graph.us[0] + odd, 0]
            CHANGES[changes[0]](graph, 1)
            for _ in range(passed):
                if gate.waiting:
                    gate.waiting.pop(0).set_result(None)
                    graph.spin()
            for change in changes:
                CHANGES[change](graph, 0)
                graph.run(0)
            graph.run(1)
        finally:
            graph.us[1] = 1
            graph.teardown()


def test_a_hundred_racing_follows_and_unfollows_and_blocks_of_one_pair_end_with_everything_agreeing() -> None:
    """P51: 100 at once over two processes, let through in the order that is worst for turns: one after the other, alternately."""
    machine = Graph()
    alice, bob = ACCOUNTS[:2]
    for number, change in zip(range(100), itertools.cycle((machine.follow, machine.unfollow)), strict=False):
        change(pair=Pair(alice, bob), process=number // 2 % 2)
    machine.teardown()
