"""Caller values are believed only when the mesh key signed them lately."""

import hashlib
import hmac
from typing import Any

import pytest
from aviary.mesh.v1 import mesh_pb2

from runtime import callers
from runtime.callers import CallerRefused, CallerSigner, MayNotAssertUsers, ensure_spoken_by
from runtime.config import Secret
from runtime.context import Caller
from runtime.errors import Unauthenticated

ALICE = Caller(user_id=b"u" * 16, session_id=b"s" * 16, scopes=("read",), role=mesh_pb2.ROLE_MODERATOR)


class SetClock:
    def __init__(self) -> None:
        self.ms = 1_000_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def now_us(self) -> int:
        return self.ms * 1000


def signers(clock: SetClock) -> tuple[CallerSigner, CallerSigner]:
    key = Secret(b"k" * 32)
    return CallerSigner(key, "edge", clock), CallerSigner(key, "tweet", clock)


def test_a_signed_caller_is_read_back_with_the_service_that_asserts_it() -> None:
    edge, tweet = signers(SetClock())
    assert tweet.verify(edge.sign(ALICE)) == Caller(
        ALICE.user_id, ALICE.session_id, ("read",), "edge", mesh_pb2.ROLE_MODERATOR
    )


@pytest.mark.parametrize("position", [0, 10, -1])
def test_a_changed_caller_is_refused(position: int) -> None:
    edge, tweet = signers(SetClock())
    signed = bytearray(edge.sign(ALICE))
    signed[position] ^= 1
    with pytest.raises(Unauthenticated):
        tweet.verify(bytes(signed))


def test_a_caller_signed_with_another_key_is_refused() -> None:
    clock = SetClock()
    other = CallerSigner(Secret(b"x" * 32), "edge", clock)
    with pytest.raises(Unauthenticated):
        signers(clock)[1].verify(other.sign(ALICE))


def test_a_caller_older_than_a_minute_is_refused_even_when_it_was_verified_before() -> None:
    clock = SetClock()
    edge, tweet = signers(clock)
    signed = edge.sign(ALICE)
    tweet.verify(signed)
    clock.ms += 60_001
    with pytest.raises(Unauthenticated):
        tweet.verify(signed)


def test_a_caller_is_signed_anew_before_its_value_gets_old() -> None:
    clock = SetClock()
    edge, tweet = signers(clock)
    for _ in range(10):
        clock.ms += 19_000
        assert tweet.verify(edge.sign(ALICE)).user_id == ALICE.user_id


def forged(packed: bytes) -> bytes:
    """What somebody with the mesh key can make of any bytes."""
    return packed + hmac.digest(b"k" * 32, b"caller:" + packed, hashlib.sha256)


def saying(**fields: Any) -> bytes:
    """A value that says this, signed and fresh."""
    said = mesh_pb2.Caller(**fields)
    said.issued_at.FromMilliseconds(SetClock().ms)
    return forged(said.SerializeToString())


@pytest.mark.parametrize(
    "signed",
    [
        b"",
        b"x",
        b"x" * 31,
        b"x" * 32,
        b"x" * 4096,
        forged(b""),
        forged(b"\xff" * 40),
        saying(user_id=b"u" * 16),
        saying(user_id=b"short", service="edge"),
        saying(session_id=b"s" * 17, service="edge"),
        forged(mesh_pb2.Caller(user_id=b"u" * 16, service="edge").SerializeToString()),
    ],
    ids=[
        "empty",
        "a byte",
        "31",
        "32",
        "long",
        "nothing",
        "no message",
        "nobody",
        "short id",
        "long session",
        "no time",
    ],
)
def test_whatever_is_no_caller_value_is_refused_as_such(signed: bytes) -> None:
    with pytest.raises(CallerRefused):
        signers(SetClock())[1].verify(signed)


def test_what_is_made_by_hand_here_is_otherwise_believed() -> None:
    assert signers(SetClock())[1].verify(saying(user_id=b"u" * 16, service="edge")).service == "edge"


def test_a_caller_of_the_future_is_refused_beyond_what_clocks_differ_even_when_it_was_verified_before() -> None:
    clock, ahead = SetClock(), SetClock()
    edge, tweet = signers(ahead)[0], signers(clock)[1]
    ahead.ms += 5_000
    signed = edge.sign(ALICE)
    assert tweet.verify(signed).user_id == ALICE.user_id
    clock.ms -= 1
    with pytest.raises(CallerRefused, match="clocks"):
        tweet.verify(signed)


def test_a_caller_is_signed_anew_when_the_clock_was_set_back() -> None:
    clock = SetClock()
    edge, tweet = signers(clock)
    edge.sign(ALICE)
    clock.ms -= 30_000
    assert tweet.verify(edge.sign(ALICE)).user_id == ALICE.user_id


def test_a_caller_keeps_its_user_over_services_and_each_names_itself() -> None:
    clock = SetClock()
    edge, tweet = signers(clock)
    timeline = CallerSigner(Secret(b"k" * 32), "timeline", clock)
    seen = tweet.verify(timeline.sign(timeline.verify(edge.sign(ALICE))))
    assert (seen.user_id, seen.session_id, seen.scopes, seen.role) == (
        ALICE.user_id,
        ALICE.session_id,
        ALICE.scopes,
        ALICE.role,
    )
    assert seen.service == "timeline"


def test_what_is_remembered_of_callers_is_bounded_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "_CACHED", 3)
    edge, tweet = signers(SetClock())
    many = [Caller(user_id=bytes([n]) * 16) for n in range(5)]
    signed = [edge.sign(caller) for caller in many]
    for value in signed:
        tweet.verify(value)
    assert list(edge._signed) == many[2:]
    assert list(tweet._verified) == signed[2:]


def test_a_certified_service_speaks_for_itself_only_and_for_users_only_if_it_may() -> None:
    said = Caller(user_id=ALICE.user_id, service="edge")
    ensure_spoken_by(said, ["view", "edge"], {"edge"})
    ensure_spoken_by(Caller(service="user"), ["user"], {"edge"})
    with pytest.raises(CallerRefused, match="edge is said to call, but the certificate of the other end names graph"):
        ensure_spoken_by(said, ["graph"], {"edge", "graph"})
    with pytest.raises(CallerRefused):
        ensure_spoken_by(Caller(service="edge"), [], {"edge"})
    with pytest.raises(MayNotAssertUsers, match="AVIARY_MESH_MAY_ASSERT_USERS"):
        ensure_spoken_by(said, ["edge"], {"timeline"})
