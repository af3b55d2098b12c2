"""Presence: the first and the last connection are written down, and what Redis forgot is written again."""

from tests.unit.edge.stream.rig import EDGE, Rig

A, B = b"a" * 16, b"b" * 16


async def test_the_first_connection_arrives_and_the_last_leaves() -> None:
    rig = Rig()
    await rig.attendance.beat()
    assert await rig.attendance.arrive(A) and await rig.attendance.arrive(A)
    await rig.attendance.leave(A)
    assert await rig.presence.edges_of([A]) == {EDGE: [A]}
    await rig.attendance.leave(A)
    assert await rig.presence.edges_of([A]) == {}


async def test_an_arrival_while_redis_is_away_is_made_up_for_and_reported() -> None:
    rig = Rig()
    missed: list[tuple[list[bytes], int]] = []
    rig.attendance._missed = lambda viewers, since: missed.append((sorted(viewers), since))
    await rig.attendance.beat()
    before = rig.clock.ms
    rig.presence.down = True
    assert not await rig.attendance.arrive(A)
    rig.clock.ms += 3000
    await rig.attendance.beat()
    assert missed == []
    rig.presence.down = False
    await rig.attendance.beat()
    assert missed == [([A], before)], "since the last beat that was answered"
    assert await rig.presence.edges_of([A]) == {EDGE: [A]}
    await rig.attendance.beat()
    assert len(missed) == 1


async def test_after_redis_was_emptied_everybody_is_written_down_again() -> None:
    rig = Rig()
    missed: list[list[bytes]] = []
    rig.attendance._missed = lambda viewers, since: missed.append(sorted(viewers))
    await rig.attendance.beat()
    await rig.attendance.arrive(A)
    await rig.attendance.arrive(B)
    rig.presence._edges.clear()
    rig.presence.die(EDGE)
    await rig.attendance.beat()
    assert missed == [[A, B]]
    assert await rig.presence.edges_of([A, B]) == {EDGE: [A, B]}


async def test_who_left_while_redis_was_away_does_not_come_back() -> None:
    rig = Rig()
    await rig.attendance.beat()
    await rig.attendance.arrive(A)
    rig.presence.down = True
    await rig.attendance.leave(A)
    rig.presence.down = False
    rig.presence.die(EDGE)
    await rig.attendance.beat()
    assert A not in rig.attendance._written


async def test_everybody_is_refreshed_within_five_minutes() -> None:
    rig = Rig()
    await rig.attendance.beat()
    await rig.attendance.arrive(A)
    rig.presence._edges.clear()
    for _ in range(300):
        await rig.attendance.beat()
    assert await rig.presence.edges_of([A]) == {EDGE: [A]}
