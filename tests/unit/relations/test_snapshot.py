"""What a change does to a snapshot: compared with a model that knows the order in which things were written."""

from dataclasses import dataclass, field

import pytest
from aviary.graph.v1.events_pb2 import RELATION_BLOCK, RELATION_FOLLOW, RELATION_MUTE
from aviary.graph.v1.graph_pb2 import GetViewerSnapshotResponse
from hypothesis import given
from hypothesis import strategies as st

from relations.snapshot import Change, Snapshot

ME, BOB, EVE = (c * 16 for c in (b"m", b"b", b"e"))


@dataclass
class Graph:
    """How the viewer stands to others, as svc_graph has it, after some writes."""

    version: int = 0
    follows: set[bytes] = field(default_factory=set)
    blocks: set[bytes] = field(default_factory=set)
    blocked_by: set[bytes] = field(default_factory=set)
    mutes: set[bytes] = field(default_factory=set)

    def write(self, change: Change) -> bool:
        """Writes come in the order of their versions; a block ends follows. False for a follow beyond one, which is refused."""
        own = change.user_id == ME
        other = change.other_id if own else change.user_id
        if change.relation == RELATION_FOLLOW:
            if change.set and other in self.blocks | self.blocked_by:
                return False
            kept = self.follows
        elif change.relation == RELATION_MUTE:
            kept = self.mutes
        else:
            kept = self.blocks if own else self.blocked_by
            if change.set:
                self.follows.discard(other)
        (kept.add if change.set else kept.discard)(other)
        if own:
            self.version = change.version
        return True

    def read(self) -> Snapshot:
        return Snapshot(
            ME,
            GetViewerSnapshotResponse(
                version=self.version,
                followee_ids=b"".join(self.follows),
                blocked_ids=b"".join(self.blocks),
                blocked_by_ids=b"".join(self.blocked_by),
                muted_ids=b"".join(self.mutes),
                muted_until_ms=[0] * len(self.mutes),
            ),
        )


def holds(snapshot: Snapshot) -> Graph:
    return Graph(0, set(snapshot.follows), set(snapshot.blocks), set(snapshot.blocked_by), set(snapshot.muted(1 << 40)))


def written(number: int, which: tuple[bool, bytes, int, bool]) -> Change:
    own, other, relation, state = which
    if not own:
        return Change(other, ME, RELATION_BLOCK, state, number)
    return Change(ME, other, relation, state, number)


writes = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from([BOB, EVE]),
        st.sampled_from([RELATION_FOLLOW, RELATION_BLOCK, RELATION_MUTE]),
        st.booleans(),
    ),
    max_size=12,
).map(lambda many: [written(number, which) for number, which in enumerate(many, 1)])


@given(writes, st.integers(0, 12))
def test_what_is_heard_in_order_after_a_read_gives_what_a_later_read_would(changes: list[Change], read_at: int) -> None:
    """Old state plus events equals state fetched fresh, or it is known that it does not."""
    graph = Graph()
    for change in changes[:read_at]:
        graph.write(change)
    snapshot = graph.read()
    exact = True
    for change in changes[read_at:]:
        graph.write(change)
        exact = snapshot.apply(change) and exact
    if exact:
        assert holds(snapshot) == Graph(0, graph.follows, graph.blocks, graph.blocked_by, graph.mutes)
    assert snapshot.apart == snapshot.blocks | snapshot.blocked_by


@given(writes, st.integers(0, 12), st.randoms(use_true_random=False))
def test_what_was_told_before_the_read_and_is_heard_late_reveals_nothing(
    changes: list[Change], read_at: int, random: object
) -> None:
    """Signals of two processes overtake each other, and the read: nobody who is hidden is shown for that."""
    graph = Graph()
    late = [change for change in changes[:read_at] if graph.write(change)]
    snapshot = graph.read()
    random.shuffle(late)  # type: ignore[attr-defined]
    for change in late:
        snapshot.apply(change)
    assert snapshot.blocks >= graph.blocks and snapshot.blocked_by >= graph.blocked_by
    assert snapshot.follows <= graph.follows


@given(writes)
def test_applied_twice_it_is_as_applied_once(changes: list[Change]) -> None:
    once, twice = Graph().read(), Graph().read()
    for change in changes:
        once.apply(change)
        twice.apply(change)
        twice.apply(change)
    assert holds(once) == holds(twice)


@pytest.mark.parametrize("set_", [True, False])
def test_an_own_change_that_is_read_already_and_heard_late_is_asked_about(set_: bool) -> None:
    """Two processes wrote changes of one account at once: which is the later of a pair only svc_graph knows."""
    snapshot = Snapshot(ME, GetViewerSnapshotResponse(version=10, blocked_ids=b"" if set_ else BOB))
    assert not snapshot.apply(Change(ME, BOB, RELATION_BLOCK, set_, 9))
    assert BOB in snapshot.apart, "until it is asked about it is taken as hiding"


def test_what_is_read_already_says_nothing_about_what_is_heard_after_it() -> None:
    """A follow that a block ended, and a block that was set again: both read, and what came before is heard late."""
    snapshot = Snapshot(ME, GetViewerSnapshotResponse(version=4, blocked_by_ids=EVE))
    assert snapshot.apply(Change(ME, BOB, RELATION_FOLLOW, False, 1))
    assert not snapshot.apply(Change(ME, BOB, RELATION_FOLLOW, True, 4)) and not snapshot.follows
    assert snapshot.apply(Change(EVE, ME, RELATION_BLOCK, True, 5))
    assert not snapshot.apply(Change(EVE, ME, RELATION_BLOCK, False, 7)) and snapshot.apart == {EVE}


def test_the_end_of_anothers_block_is_asked_about_and_a_block_is_not() -> None:
    snapshot = Snapshot(ME, GetViewerSnapshotResponse(blocked_by_ids=BOB))
    assert not snapshot.apply(Change(BOB, ME, RELATION_BLOCK, False, 5))
    assert snapshot.apply(Change(EVE, ME, RELATION_BLOCK, True, 5))
    assert snapshot.apart == {BOB, EVE}
    assert snapshot.apply(Change(EVE, ME, RELATION_BLOCK, False, 6)), "which of the two is later was heard"
    assert snapshot.apart == {BOB}


def test_a_fact_of_the_log_that_comes_again_hides_at_first_and_is_asked_about() -> None:
    snapshot = Snapshot(ME, GetViewerSnapshotResponse())
    assert not snapshot.apply(Change(BOB, ME, RELATION_BLOCK, True, 5, certain=False))
    assert snapshot.apart == {BOB} and snapshot.changed


def test_a_mute_ends_by_itself() -> None:
    snapshot = Snapshot(ME, GetViewerSnapshotResponse(muted_ids=BOB + EVE, muted_until_ms=[1000, 0]))
    assert snapshot.muted(999) == {BOB, EVE}
    assert snapshot.muted(1000) == {EVE}
    snapshot.apply(Change(ME, BOB, RELATION_MUTE, True, 1, until_ms=2000))
    assert snapshot.muted(1500) == {BOB, EVE}
    assert snapshot.muted(2000) == {EVE}


def test_unblocking_does_not_bring_the_follow_back() -> None:
    """P46"""
    snapshot = Snapshot(ME, GetViewerSnapshotResponse(followee_ids=BOB, version=1))
    snapshot.apply(Change(ME, BOB, RELATION_BLOCK, True, 2))
    snapshot.apply(Change(ME, BOB, RELATION_BLOCK, False, 3))
    assert not snapshot.apart and not snapshot.follows
