"""How much is asked of svc_graph however many viewers come at once: rpcs are counted here, not time."""

import asyncio
from typing import Any

import grpc
from grpc import aio

from relations.viewers import CHECKED_EVERY_S, COMPARED_S, KNOWN_AFTER, Relations
from runtime.context import NOBODY, acting
from tests.unit.views.world import Gate, WallClock, World
from tests.waiting import until

MANY = 250


async def known(world: World) -> tuple[list[bytes], bytes]:
    """Many viewers whose snapshots are known and believed, and somebody whom all of them follow."""
    bob = world.user("bob")
    viewers = [world.user(f"v{n}") for n in range(MANY)]
    for viewer in viewers:
        world.follow(viewer, bob)
    await world.warm()
    await asyncio.gather(*map(world.deps.relations.get, viewers))
    return viewers, bob


async def test_after_an_epoch_ended_the_snapshots_of_many_are_compared_a_hundred_an_rpc(world: World) -> None:
    """P83: what each asked for itself, again and again while signals were late, kept the signals late."""
    viewers, bob = await known(world)
    world.mute(viewers[3], bob)
    for _ in range(2):
        world.clock.advance(0.8)
        with world.counting() as made:
            found = await asyncio.gather(*map(world.deps.relations.get, viewers))
        # Two are under way when the others come, who then go together.
        assert made["CompareSnapshots"] <= 2 + 3
        assert made["GetViewerSnapshot"] <= 1, "only of whom something changed"
        assert made.keys() <= {"CompareSnapshots", "GetViewerSnapshot"}
        assert bob in found[3].muted(0)
        assert not found[4].muted(0)


async def test_while_signals_are_heard_too_snapshots_are_compared_together(world: World) -> None:
    viewers, _ = await known(world)
    for _ in range(int(CHECKED_EVERY_S / 0.4) + 1):
        world.clock.advance(0.4)
        await world.heartbeat()
    with world.counting() as made:
        await asyncio.gather(*map(world.deps.relations.get, viewers))
    assert made == {"CompareSnapshots": made["CompareSnapshots"]} and made["CompareSnapshots"] <= 5


async def test_what_is_asked_at_a_time_is_bounded_however_many_come(world: World) -> None:
    viewers, bob = await known(world)
    new = [world.user(f"n{n}") for n in range(MANY)]
    gates = {name: Gate() for name in ("CompareSnapshots", "GetViewerSnapshot", "GetRelationships")}
    world.hold.update(gates)
    world.clock.advance(0.8)
    relations = world.deps.relations
    world.calls.clear()
    asking = [asyncio.ensure_future(relations.get(viewer)) for viewer in viewers]
    asking += [asyncio.ensure_future(relations.get(viewer)) for viewer in new]
    pairs = [asyncio.ensure_future(relations.ask_apart(world.user(f"p{n}"), bob)) for n in range(MANY)]
    await world.until(lambda: all(gate.arrived.is_set() for gate in gates.values()))
    for _ in range(50):
        await asyncio.sleep(0)
    assert world.calls == {"CompareSnapshots": 2, "GetViewerSnapshot": 16, "GetRelationships": 4}
    for gate in gates.values():
        gate.open()
    await asyncio.gather(*asking, *pairs)
    assert world.calls["GetViewerSnapshot"] == MANY
    assert world.calls["CompareSnapshots"] <= 5


async def test_of_many_who_are_new_only_the_pair_is_asked_and_of_those_with_one_author_at_once(world: World) -> None:
    """Each of the 200 likes of a second is somebody's first: nobody's snapshot is read for it."""
    bob, eve = world.user("bob"), world.user("eve")
    fans = [world.user(f"f{n}") for n in range(200)]
    world.block(bob, fans[5])
    world.block(fans[6], bob)
    await world.warm()
    with world.counting() as made:
        apart = await asyncio.gather(*(world.deps.relations.ask_apart(fan, bob) for fan in fans))
    assert [n for n, is_apart in enumerate(apart) if is_apart] == [5, 6]
    # Four are under way when the others come, who then go together, 32 at a time.
    assert made == {"GetRelationships": made["GetRelationships"]} and made["GetRelationships"] <= 4 + 7
    assert not any(await asyncio.gather(*(world.deps.relations.ask_apart(fan, eve) for fan in fans)))


async def test_who_comes_again_is_known_and_then_nothing_is_asked(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    await world.warm()
    relations = world.deps.relations
    for times in range(1, KNOWN_AFTER + 3):
        assert relations.apart(alice, bob) is (None if times <= KNOWN_AFTER else False)
        assert await relations.ask_apart(alice, bob) is False
        assert world.calls["GetViewerSnapshot"] == (times >= KNOWN_AFTER)
    assert world.calls["GetRelationships"] == KNOWN_AFTER - 1


async def test_a_pair_is_never_older_than_its_question(world: World) -> None:
    """P45: nothing of a pair is kept, so a block that was answered is seen by the next like."""
    alice, bob = world.user("alice"), world.user("bob")
    await world.warm()
    assert not await world.deps.relations.ask_apart(alice, bob)
    world.block(bob, alice)
    assert await world.deps.relations.ask_apart(alice, bob)


async def test_who_waits_in_vain_is_told_so_in_time_and_is_not_asked_for(world: World) -> None:
    """P82: svc_graph hangs, and everybody comes."""
    new = [world.user(f"n{n}") for n in range(20)]
    gate = Gate()
    world.hold["GetRelationships"] = gate
    relations = Relations(world.deps.graph, WallClock(world.clock), world.clock)

    async def ask(viewer: bytes) -> Any:
        with acting(NOBODY, 0.01):
            return await relations.ask_apart(viewer, viewer[::-1])

    for failed in await asyncio.gather(*map(ask, new), return_exceptions=True):
        assert isinstance(failed, aio.AioRpcError) and failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert world.calls["GetRelationships"] == 4, "no one else's turn came in their time"
    gate.open()
    with world.counting() as made:
        assert not await relations.ask_apart(world.user("alice"), b"b" * 16)
    assert made["GetRelationships"] <= 1, "nobody asks for those who have gone"


async def test_the_own_change_that_is_asked_for_is_asked_for_once(world: World) -> None:
    """Within seconds of a change a state has no name, and what is read then lacks nothing of what was answered before it."""
    alice, bob = world.user("alice"), world.user("bob")
    await world.warm()
    world.unnamed = True
    version = world.follow(alice, bob)
    relations = world.deps.relations
    assert bob in (await relations.get(alice)).follows
    with world.counting() as made:
        for _ in range(3):
            assert bob in (await relations.get(alice, at_least=version)).follows
    assert made == {"GetViewerSnapshot": 1}, "of a state without a name it is not known which own changes it lacks"
    assert relations.cached(alice, version + 1) is None


async def test_snapshots_that_will_be_too_old_soon_are_compared_together_while_they_still_serve(world: World) -> None:
    viewers, _ = await known(world)

    async def passed(seconds: float) -> None:
        for _ in range(round(seconds / 0.4)):
            world.clock.advance(0.4)
            await world.heartbeat()

    def served() -> bool:
        return all(world.deps.relations.cached(viewer) is not None for viewer in viewers)

    await passed(COMPARED_S)
    before, unchanged = world.calls["CompareSnapshots"], world.unchanged
    await passed(0.8)
    assert served() and world.calls["CompareSnapshots"] == before, "nobody waits"
    await until(lambda: world.unchanged == unchanged + MANY)
    assert world.calls["CompareSnapshots"] - before <= 3 * 3, "of each hundred two go before the others come"
    await passed(CHECKED_EVERY_S - COMPARED_S)
    await until(served)
