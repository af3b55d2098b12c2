"""One socket: repeats are dropped, cursors stand still while it is held, a reader that does not read is closed."""

from edge.stream.socket import BUFFER_BYTES, REMEMBERED
from tests.unit.edge.stream.rig import Rig

A = b"a" * 16


def test_the_last_512_ids_are_remembered() -> None:
    socket, wire = Rig().socket(A)
    for n in range(REMEMBERED + 1):
        socket.tweet(n.to_bytes(16), b'{"tweet_id":"x"}')
    socket.tweet((1).to_bytes(16), b"{}")
    assert len(wire.sent) == REMEMBERED + 1
    socket.tweet((0).to_bytes(16), b'{"tweet_id":"x"}')
    assert len(wire.sent) == REMEMBERED + 2


def test_cursors_hold_the_present_and_are_sealed_once_a_second() -> None:
    rig = Rig()
    socket, wire = rig.socket(A)
    socket.ping()
    first = rig.cursor_of(wire, A)
    assert first == rig.clock.ms
    rig.clock.ms += 999
    socket.ping()
    assert wire.sent[0]["id"].partition(".")[0] == wire.sent[1]["id"].partition(".")[0]
    rig.clock.ms += 1
    socket.ping()
    assert rig.cursor_of(wire, A) == first + 1000


def test_no_two_messages_have_one_id_on_whichever_connection_and_any_of_them_continues() -> None:
    """P62: clients drop ids that they have. Those of one second, and of one hold, are as many as there are messages."""
    rig = Rig()
    ids = []
    for _ in range(2):
        socket, wire = rig.socket(A)
        socket.hold(rig.clock.ms - 5000)
        socket.hello(30)
        socket.counts(b"{}")
        socket.counts(b"{}")
        assert wire.sent[0]["data"]["cursor"] == wire.sent[0]["id"]
        assert [rig.cursors.open(sent["id"], A) for sent in wire.sent] == [rig.clock.ms - 5000] * 3
        ids += [sent["id"] for sent in wire.sent]
    assert len(set(ids)) == 6


def test_cursors_of_a_held_socket_stand_at_the_earliest_hold() -> None:
    rig = Rig()
    socket, wire = rig.socket(A)
    socket.ping()
    socket.hold(rig.clock.ms - 5000)
    socket.hold(rig.clock.ms - 1000)
    rig.clock.ms += 60_000
    socket.ping()
    assert rig.cursor_of(wire, A) == rig.clock.ms - 65_000
    socket.release()
    socket.ping()
    assert rig.cursor_of(wire, A) == rig.clock.ms


def test_a_reader_that_does_not_read_is_closed_with_1013() -> None:
    """P60"""
    socket, wire = Rig().socket(A)
    wire.waiting = BUFFER_BYTES + 1
    socket.tweet(A, b"{}")
    assert wire.ended == (1013, "SLOW_READER") and wire.sent == []
    socket.gap()
    assert wire.sent == []


def test_a_revoked_stream_says_why_and_closes() -> None:
    socket, wire = Rig().socket(A)
    socket.revoke("TOKEN_EXPIRED")
    assert wire.sent[-1]["data"] == {"reason": "TOKEN_EXPIRED"} and wire.ended == (1008, "TOKEN_EXPIRED")
