"""The doorkeeper: greeting, heartbeats, silence, expiry, and arrivals while presence cannot be written."""

from dataclasses import replace

import pytest

from edge.auth import Grant
from edge.stream.doorkeeper import Doorkeeper
from edge.stream.socket import Socket
from runtime.errors import Unauthenticated
from tests.unit.edge.logins import asking
from tests.unit.edge.stream.rig import EDGE, FakeWire, Rig
from tests.unit.views.world import caller, text


@pytest.fixture
def rig() -> Rig:
    return Rig()


def doorkeeper(rig: Rig, heartbeat_s: int = 2) -> Doorkeeper:
    return rig.doorkeeper(heartbeat_s)


async def entered(rig: Rig, door: Doorkeeper, viewer: bytes, since_ms: int | None = None) -> tuple[Socket, FakeWire]:
    wire = FakeWire()
    socket = door.enter(wire, Grant(caller(viewer), rig.clock.ms + 60_000), since_ms)
    await rig.world.until(lambda: not rig.tasks)
    return socket, wire


async def test_the_first_message_comes_once_the_reader_is_known_to_be_here() -> None:
    rig = Rig()
    alice = rig.world.user("alice")
    await rig.attendance.beat()
    _, wire = await entered(rig, doorkeeper(rig), alice)
    assert wire.types() == ["hello"] and wire.sent[0]["data"]["heartbeat_seconds"] == 2
    assert await rig.presence.edges_of([alice]) == {EDGE: [alice]}


async def test_heartbeats_are_spread_and_a_silent_end_is_closed() -> None:
    """P63: quiet is not dead, silent is."""
    rig = Rig()
    door = doorkeeper(rig)
    quiet, quiet_wire = await entered(rig, door, rig.world.user("quiet"))
    _, dead_wire = await entered(rig, door, rig.world.user("dead"))
    for _ in range(4):
        door.sweep()
        quiet.heard = True
    assert quiet_wire.types().count("ping") == 2 and quiet_wire.probes == 2 and quiet_wire.ended is None
    assert dead_wire.types().count("ping") == 1 and dead_wire.ended == (1001, "NO_SIGN_OF_LIFE")


async def test_an_expired_token_ends_the_stream_at_the_next_sweep() -> None:
    """P42"""
    rig = Rig()
    door = doorkeeper(rig)
    _, wire = await entered(rig, door, rig.world.user("alice"))
    rig.clock.ms += 59_999
    door.sweep()
    assert wire.ended is None
    rig.clock.ms += 1
    door.sweep()
    assert wire.types()[-1] == "revoked" and wire.ended == (1008, "TOKEN_EXPIRED")


async def test_a_login_that_ends_takes_its_own_streams_along_and_an_account_all(rig: Rig) -> None:
    """P42"""
    door, alice, bob = doorkeeper(rig), rig.world.user("alice"), rig.world.user("bob")
    wires = [await standing(rig, door, viewer, login) for viewer, login in ((alice, b"1"), (alice, b"2"), (bob, b"3"))]
    door.refused(b"1" * 16, "TOKEN_INVALID")
    assert [wire.ended for wire in wires] == [(1008, "TOKEN_INVALID"), None, None]
    assert wires[0].sent[-1]["type"] == "revoked" and wires[0].sent[-1]["data"] == {"reason": "TOKEN_INVALID"}
    door.refused(alice, "ACCOUNT_SUSPENDED")
    assert [wire.ended for wire in wires[1:]] == [(1008, "ACCOUNT_SUSPENDED"), None]


async def test_a_stream_that_was_renewed_stands_on_the_new_login(rig: Rig) -> None:
    door, alice = doorkeeper(rig), rig.world.user("alice")
    socket, wire = await entered(rig, door, alice)
    door.renew(socket, Grant(replace(caller(alice), session_id=b"n" * 16), rig.clock.ms + 60_000))
    door.refused(caller(alice).session_id, "TOKEN_INVALID")
    assert wire.ended is None
    door.refused(b"n" * 16, "TOKEN_INVALID")
    assert wire.ended == (1008, "TOKEN_INVALID")
    door.leave(socket)
    assert not door._standing_on


async def test_a_sweep_asks_about_the_logins_of_streams_that_no_signal_vouches_for(rig: Rig) -> None:
    """P42: sockets that say nothing would be asked about by no request."""
    door = doorkeeper(rig)
    rig.sessions.watch(door.refused)
    wires = [await standing(rig, door, rig.world.user(name), name.encode()) for name in "abc"]
    rig.logins.end(b"b" * 16)
    async with asking(rig.sessions):
        door.sweep()
        await rig.world.until(lambda: wires[1].ended is not None)
    assert [wire.ended for wire in wires] == [None, (1008, "TOKEN_INVALID"), None]


async def standing(rig: Rig, door: Doorkeeper, viewer: bytes, login: bytes) -> FakeWire:
    """An open stream on the login."""
    wire = FakeWire()
    door.enter(wire, Grant(replace(caller(viewer), session_id=login * 16), rig.clock.ms + 60_000), None)
    await rig.world.until(lambda: not rig.tasks)
    return wire


async def test_a_reader_who_comes_while_redis_is_away_is_caught_up_with_later() -> None:
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    rig.world.follow(alice, bob)
    await rig.attendance.beat()
    rig.presence.down = True
    socket, wire = await entered(rig, doorkeeper(rig), alice)
    assert wire.types() == ["hello"] and socket.held_at_ms == rig.clock.ms
    missed = rig.world.tweet(bob)
    rig.clock.ms += 5000
    rig.presence.down = False
    await rig.attendance.beat()
    await rig.world.until(lambda: not rig.tasks)
    assert wire.tweets() == [text(missed)] and socket.held_at_ms is None


async def test_who_leaves_is_forgotten_even_before_having_arrived() -> None:
    rig = Rig()
    alice = rig.world.user("alice")
    door = doorkeeper(rig)
    await rig.attendance.beat()
    socket = door.enter(FakeWire(), Grant(caller(alice), rig.clock.ms + 60_000), None)
    door.leave(socket)
    await rig.world.until(lambda: not rig.tasks)
    assert list(rig.hub) == [] and await rig.presence.edges_of([alice]) == {}


async def test_nobody_comes_in_without_a_token() -> None:
    with pytest.raises(Unauthenticated):
        await doorkeeper(Rig()).admit("")
