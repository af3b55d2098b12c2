"""Caller values are believed only when the mesh key signed them lately."""

import pytest

from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import Caller
from runtime.errors import Unauthenticated

ALICE = Caller(user_id=b"u" * 16, session_id=b"s" * 16, scopes=("read",))


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
    assert tweet.verify(edge.sign(ALICE)) == Caller(ALICE.user_id, ALICE.session_id, ("read",), "edge")


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
