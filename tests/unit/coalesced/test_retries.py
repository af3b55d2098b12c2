"""When a call that failed is made again: the rules that gRPC has for the ordinary channel."""

import pytest

from coalesced.retries import ATTEMPTS, MOST_TOKENS, TOKENS_BACK, Retries


def middle() -> float:
    return 0.5


def test_pauses_double_and_after_three_vain_attempts_a_call_is_given_up() -> None:
    retries = Retries(middle)
    assert [retries.pause_s(failed, final=False) for failed in (1, 2, ATTEMPTS)] == [0.05, 0.1, None]


def test_pauses_differ_by_a_fifth_either_way_so_that_callers_do_not_come_back_together() -> None:
    assert Retries(lambda: 0.0).pause_s(1, final=False) == pytest.approx(0.04)
    assert Retries(lambda: 1.0).pause_s(1, final=False) == pytest.approx(0.06)


def test_what_the_peer_wants_none_of_again_is_given_up_at_once() -> None:
    assert Retries(middle).pause_s(1, final=True) is None


def test_when_half_of_the_budget_is_gone_nothing_is_made_again_until_calls_succeed() -> None:
    """P82: a peer that always fails is not asked three times as often."""
    retries = Retries(middle)
    again = sum(retries.pause_s(1, final=False) is not None for _ in range(60))
    assert again == MOST_TOKENS / 2 - 1
    for _ in range(round((MOST_TOKENS / 2 + 2) / TOKENS_BACK)):
        retries.answered()
    assert retries.pause_s(1, final=False) is not None
