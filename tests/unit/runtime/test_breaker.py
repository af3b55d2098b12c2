"""The breaker counts only what says that the peer is unwell, and finds out by one probe at a time that it is well again."""

import pytest

from runtime.breaker import FAIR_S, FIRST_PAUSE_S, LEAST, LONGEST_PAUSE_S, PROBE_S, WINDOW_S, Breaker, Turn
from runtime.errors import Unavailable


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def breaker(time: Time) -> Breaker:
    return Breaker("tests", time)


def opened(breaker: Breaker) -> None:
    for _ in range(LEAST):
        breaker.failed(breaker.enter())
    assert refuses(breaker)


def refuses(breaker: Breaker) -> bool:
    try:
        breaker.silent(breaker.enter())
    except Unavailable:
        return True
    return False


def test_few_failures_do_not_open_it(breaker: Breaker) -> None:
    for _ in range(LEAST - 1):
        breaker.failed(breaker.enter())
    assert not refuses(breaker)


def test_half_of_enough_questions_that_found_no_peer_open_it(breaker: Breaker) -> None:
    for _ in range(LEAST):
        breaker.answered(breaker.enter())
    for _ in range(LEAST - 1):
        breaker.failed(breaker.enter())
    assert not refuses(breaker)
    breaker.failed(breaker.enter())
    with pytest.raises(Unavailable) as raised:
        breaker.enter()
    assert raised.value.retry_after_s == FIRST_PAUSE_S


def test_failures_of_another_window_do_not_count(breaker: Breaker, time: Time) -> None:
    for _ in range(LEAST - 1):
        breaker.failed(breaker.enter())
    time.now += WINDOW_S + 0.1
    breaker.failed(breaker.enter())
    assert not refuses(breaker)


def test_one_probe_at_a_time_is_let_through_and_its_answer_closes(breaker: Breaker, time: Time) -> None:
    opened(breaker)
    time.now += FIRST_PAUSE_S
    probe = breaker.enter()
    assert refuses(breaker)
    breaker.answered(probe)
    assert not refuses(breaker)
    for _ in range(LEAST - 1):
        breaker.failed(breaker.enter())
    assert not refuses(breaker)


def test_each_probe_that_fails_doubles_the_pause_up_to_a_bound(breaker: Breaker, time: Time) -> None:
    opened(breaker)
    pauses = []
    for _ in range(6):
        with pytest.raises(Unavailable) as raised:
            breaker.enter()
        pauses.append(raised.value.retry_after_s)
        time.now += raised.value.retry_after_s or 0
        breaker.failed(breaker.enter())
    assert pauses == [FIRST_PAUSE_S, 1.0, 2.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_a_probe_that_never_ends_is_followed_by_another(breaker: Breaker, time: Time) -> None:
    opened(breaker)
    time.now += FIRST_PAUSE_S
    breaker.enter()
    assert refuses(breaker)
    time.now += PROBE_S
    breaker.answered(breaker.enter())
    assert not refuses(breaker)


def test_a_probe_whose_caller_went_away_at_once_says_nothing(breaker: Breaker, time: Time) -> None:
    opened(breaker)
    time.now += FIRST_PAUSE_S
    breaker.silent(breaker.enter())
    breaker.answered(breaker.enter())
    assert not refuses(breaker)


def test_what_was_asked_before_it_opened_neither_closes_nor_prolongs_it(breaker: Breaker, time: Time) -> None:
    late: list[Turn] = [breaker.enter(), breaker.enter()]
    opened(breaker)
    breaker.answered(late[0])
    breaker.failed(late[1])
    assert refuses(breaker)
    time.now += FIRST_PAUSE_S
    assert not refuses(breaker)


def silence(breaker: Breaker, time: Time, seconds: float) -> None:
    turns = [breaker.enter() for _ in range(LEAST)]
    time.now += seconds
    for turn in turns:
        breaker.silent(turn)


def test_callers_that_wait_too_short_a_time_do_not_open_it(breaker: Breaker, time: Time) -> None:
    for _ in range(5):
        silence(breaker, time, FAIR_S * 0.9)
    assert not refuses(breaker)


def test_silence_of_a_peer_that_answers_others_does_not_open_it(breaker: Breaker, time: Time) -> None:
    turns = [breaker.enter() for _ in range(LEAST)]
    time.now += FAIR_S
    breaker.answered(breaker.enter())
    time.now += FAIR_S
    for turn in turns:
        breaker.silent(turn)
    assert not refuses(breaker)


def test_a_peer_that_answers_nobody_for_a_fair_time_opens_it(breaker: Breaker, time: Time) -> None:
    silence(breaker, time, FAIR_S)
    assert refuses(breaker)
