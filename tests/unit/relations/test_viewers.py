"""Snapshots of viewers: never older than they say, asked for as seldom as possible, and bounded."""

import asyncio
from collections.abc import Callable

import grpc
import pytest
from aviary.graph.v1.events_pb2 import (
    RELATION_BLOCK,
    RELATION_FOLLOW,
    RELATION_MUTE,
    BlockSet,
    FollowSet,
    Relation,
    RelationChange,
)
from grpc import aio

from relations.viewers import AWAY_S, CHECKED_EVERY_S, FRESH_S, Relations
from runtime.errors import DeadlineExceeded
from simulation.bus import MemoryBus
from tests.unit.views.world import Gate, WallClock, World
from views.build import listen


def change(
    user: bytes, other: bytes, relation: Relation, version: int, state: bool = True, until_ms: int = 0
) -> RelationChange:
    return RelationChange(
        user_id=user, other_id=other, relation=relation, set=state, version=version, until_ms=until_ms
    )


@pytest.fixture
async def pair(world: World) -> tuple[bytes, bytes]:
    """Alice, who follows Bob; what is signalled is believed, and her snapshot is known."""
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    await world.warm()
    await world.deps.relations.get(alice)
    return alice, bob


GRAPH = {"GetViewerSnapshot", "CompareSnapshots"}
Write = Callable[[World, bytes, bytes], RelationChange]
HIDES: dict[str, Write] = {
    "unfollow": lambda w, a, b: change(a, b, RELATION_FOLLOW, w.follow(a, b, following=False), state=False),
    "block": lambda w, a, b: change(a, b, RELATION_BLOCK, w.block(a, b)),
    "blocked by": lambda w, a, b: change(b, a, RELATION_BLOCK, w.block(b, a)),
    "mute": lambda w, a, b: change(a, b, RELATION_MUTE, w.mute(a, b)),
}
hides = pytest.mark.parametrize("write", HIDES.values(), ids=HIDES)


async def shown(world: World, alice: bytes, bob: bytes) -> bool:
    sight = await world.deps.relations.ask_sight(alice)
    return bob in sight.follows and bob not in sight.apart and bob not in sight.muted


@hides
async def test_what_is_told_hides_without_asking(world: World, pair: tuple[bytes, bytes], write: Write) -> None:
    """P47"""
    assert await shown(world, *pair)
    told = write(world, *pair)
    with world.counting() as made:
        await world.tell_relations(told)
        assert not await shown(world, *pair)
    assert not made


@hides
async def test_what_nobody_told_is_known_within_a_second(world: World, pair: tuple[bytes, bytes], write: Write) -> None:
    """NATS is away: who writes answers a second later, when nobody believes what was known before."""
    write(world, *pair)
    assert await shown(world, *pair), "believed: heartbeats came until now"
    world.clock.advance(0.76)
    assert not await shown(world, *pair)


@hides
async def test_what_was_told_and_got_lost_is_known_with_the_next_heartbeat(
    world: World, pair: tuple[bytes, bytes], write: Write
) -> None:
    write(world, *pair)
    world.told_relations += 1
    await world.heartbeat()
    assert not await shown(world, *pair)


@hides
async def test_what_is_told_while_a_snapshot_is_on_its_way_is_in_it(world: World, write: Write) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    await world.warm()
    gate = Gate()
    world.hold["GetViewerSnapshot"] = gate
    loading = asyncio.ensure_future(shown(world, alice, bob))
    await gate.arrived.wait()
    await world.tell_relations(write(world, alice, bob))
    gate.open()
    assert not await loading
    assert not await shown(world, alice, bob)


@hides
async def test_what_is_written_in_a_gap_is_not_in_a_snapshot_that_was_asked_for_before(
    world: World, write: Write
) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    await world.warm()
    gate = Gate()
    world.hold["GetViewerSnapshot"] = gate
    early = asyncio.ensure_future(world.deps.relations.get(alice))
    await gate.arrived.wait()
    write(world, alice, bob)
    world.told_relations += 1
    await world.heartbeat()
    late = asyncio.ensure_future(shown(world, alice, bob))
    await world.until(lambda: world.calls["GetViewerSnapshot"] == 2 or late.done())
    gate.open()
    await early
    assert not await late and not await shown(world, alice, bob)


async def test_a_snapshot_to_which_nothing_happened_is_compared_and_not_read(
    world: World, pair: tuple[bytes, bytes]
) -> None:
    world.clock.advance(1)
    known = await world.deps.relations.get(pair[0])
    assert world.unchanged == 1
    await world.warm()
    assert await world.deps.relations.get(pair[0]) is known and world.unchanged == 2


async def test_while_signals_are_missing_a_viewer_is_asked_about_twice_a_second(
    world: World, pair: tuple[bytes, bytes]
) -> None:
    world.clock.advance(1)
    await world.deps.relations.get(pair[0])
    world.clock.advance(FRESH_S - 0.1)
    assert world.deps.relations.cached(pair[0]) is not None
    world.clock.advance(0.2)
    assert world.deps.relations.cached(pair[0]) is None


async def test_what_was_applied_is_never_compared_but_read(world: World, pair: tuple[bytes, bytes]) -> None:
    """What svc_graph had when it was read, and has again, is not what is known here."""
    alice, bob = pair
    state = world.states[alice]
    await world.tell_relations(change(alice, bob, RELATION_MUTE, world.mute(alice, bob)))
    world.mute(alice, bob, muting=False)
    world.states[alice] = state
    world.clock.advance(1)
    assert await shown(world, alice, bob)


async def test_a_write_that_nobody_signals_is_known_after_half_a_minute(
    world: World, pair: tuple[bytes, bytes]
) -> None:
    alice, bob = pair
    world.mute(alice, bob)
    for _ in range(int(CHECKED_EVERY_S / 0.5) + 1):
        world.clock.advance(0.5)
        await world.heartbeat()
    assert not await shown(world, alice, bob)


async def test_a_timed_mute_ends_in_its_time(world: World, pair: tuple[bytes, bytes]) -> None:
    alice, bob = pair
    until_ms = WallClock(world.clock).now_ms() + 500
    await world.tell_relations(
        change(alice, bob, RELATION_MUTE, world.mute(alice, bob, until_ms=until_ms), until_ms=until_ms)
    )
    assert not await shown(world, alice, bob)
    world.clock.advance(0.5)
    await world.heartbeat()
    assert await shown(world, alice, bob)


async def test_a_viewers_own_change_is_in_what_is_asked_for_with_its_version(
    world: World, pair: tuple[bytes, bytes]
) -> None:
    alice, bob = pair
    version = world.block(alice, bob)
    snapshot = await world.deps.relations.get(alice, at_least=version)
    assert bob in snapshot.apart and world.deps.relations.cached(alice, version) is snapshot


async def test_who_needs_a_change_does_not_take_a_load_that_began_before_it(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    gate = Gate()
    world.hold["GetViewerSnapshot"] = gate
    early = asyncio.ensure_future(world.deps.relations.get(alice))
    await gate.arrived.wait()
    version = world.follow(alice, bob)
    late = asyncio.ensure_future(world.deps.relations.get(alice, at_least=version))
    await world.until(lambda: world.calls["GetViewerSnapshot"] == 2 or late.done())
    gate.open()
    await early
    assert bob in (await late).follows


async def test_announced_follows_and_blocks_that_nobody_signalled_are_known(world: World) -> None:
    """Their process died between the write and the signal, or the write came out of a batch log after its call had failed."""
    alice, bob, eve = world.user("alice"), world.user("bob"), world.user("eve")
    version = world.follow(alice, bob)
    bus = MemoryBus()
    await listen(world.deps, bus)
    await world.warm()
    assert await shown(world, alice, bob)
    await bus.publish(FollowSet(event_id=b"f" * 16, follower_id=alice, followee_id=bob, version=version + 1))
    assert not await shown(world, alice, bob)
    world.block(eve, alice)
    await bus.publish(BlockSet(event_id=b"b" * 16, blocker_id=eve, blocked_id=alice, blocking=True, version=1))
    assert eve in (await world.deps.relations.ask_sight(alice)).apart


async def test_of_those_beyond_the_snapshot_it_is_asked_who_blocks_the_viewer(world: World) -> None:
    star = world.user("star")
    people = [world.user(f"u{n}") for n in range(130)]
    world.most_blocked_by = 2
    for other in people[:4]:
        world.block(other, star)
    await world.warm()
    relations = world.deps.relations
    await relations.get(star)
    assert relations.sight(star) is not None, "whom one follows is certainly not behind a block"
    assert relations.sight(star, people) is None
    assert (await relations.ask_sight(star, people)).apart == set(people[:4])
    assert world.calls["GetRelationships"] == 2


async def test_nobody_without_an_account_is_apart_from_anybody(world: World) -> None:
    sight = world.deps.relations.sight(b"", [b"x" * 16])
    assert sight is not None and not sight.apart and not world.calls


async def test_while_the_graph_is_away_what_it_said_serves_for_ten_minutes_with_what_is_told(
    world: World, pair: tuple[bytes, bytes]
) -> None:
    """P82"""
    alice, bob = pair
    world.down |= GRAPH
    world.clock.advance(AWAY_S - 1)
    assert await shown(world, alice, bob)
    await world.tell_relations(change(alice, bob, RELATION_BLOCK, world.block(alice, bob)))
    assert not await shown(world, alice, bob)
    world.clock.advance(2)
    with pytest.raises(aio.AioRpcError) as failure:
        await shown(world, alice, bob)
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_after_one_who_waited_for_the_graph_in_vain_others_do_not_wait_for_a_second(
    world: World, pair: tuple[bytes, bytes]
) -> None:
    """P82: it hangs."""

    async def hang() -> None:
        raise DeadlineExceeded("svc_graph hangs")

    alice, bob = pair
    world.hold |= dict.fromkeys(GRAPH, hang)
    world.clock.advance(1)
    assert await shown(world, alice, bob)
    with world.counting() as made:
        world.clock.advance(0.9)
        assert await shown(world, alice, bob)
        with pytest.raises(aio.AioRpcError):
            await world.deps.relations.get(bob)
    assert made == {"GetViewerSnapshot": 1}, "only who knows nothing asks"
    world.clock.advance(1)
    world.mute(alice, bob)
    world.hold.clear()
    assert not await shown(world, alice, bob)


async def test_snapshots_are_bounded_by_the_ids_they_hold(world: World) -> None:
    people = [world.user(f"u{n}") for n in range(6)]
    for other in people[2:]:
        world.follow(people[0], other)
        world.follow(people[1], other)
    relations = Relations(world.deps.graph, WallClock(world.clock), world.clock, room=6)
    await relations.get(people[0])
    await relations.get(people[1])
    assert relations.cached(people[0]) is None and relations.cached(people[1]) is not None
