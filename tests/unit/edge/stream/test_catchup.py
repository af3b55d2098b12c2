"""Catching up with a reader who takes long: what is sent is what the home shows then; everything else of it is in test_hub.py."""

import pytest

from tests.unit.edge.stream.rig import Rig
from tests.unit.edge.stream.test_hub import HIDES, hides, idle
from tests.unit.views.world import text


@pytest.mark.parametrize("what", [*HIDES, "delete"])
async def test_what_is_hidden_while_a_slow_reader_catches_up_is_not_sent(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P47, P19"""
    rig = Rig()
    world = rig.world
    alice, bob, carol = (world.user(name) for name in ("alice", "bob", "carol"))
    world.follow(alice, bob)
    world.follow(alice, carol)
    hidden, shown = world.tweet(bob), world.tweet(carol)
    await world.warm()
    socket, wire = rig.socket(alice)

    async def slowly() -> None:
        if what == "delete":
            await world.signal_delete(hidden)
        else:
            await hides(world, what, alice, bob)

    monkeypatch.setattr(wire, "drained", slowly)
    rig.catch_up.start(socket, rig.clock.ms - 5000)
    await idle(rig)
    assert wire.tweets() == [text(shown)]


async def test_who_cannot_be_judged_any_more_gets_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    world = rig.world
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    world.tweet(bob)
    await world.warm()
    socket, wire = rig.socket(alice)

    async def slowly() -> None:
        world.deps.relations._kept.clear()
        world.down.add("GetViewerSnapshot")

    monkeypatch.setattr(wire, "drained", slowly)
    rig.catch_up.start(socket, rig.clock.ms - 5000)
    await idle(rig)
    assert wire.types() == ["gap"]
