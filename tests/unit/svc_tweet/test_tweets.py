"""Ids in time: bounds, months and timestamps."""

import datetime
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.ids import uuid7_of
from svc_tweet.domain.tweets import NEWEST, OLDEST, after, before, born_us, deletion_us, month_of


def ms(moment: str) -> int:
    return int(datetime.datetime.fromisoformat(moment + "Z").timestamp() * 1000)


@given(st.binary(min_size=16, max_size=16), st.integers(1, 1 << 47), st.integers(0, (1 << 74) - 1))
def test_bounds_keep_the_order_of_bytes_whatever_the_client_sent(bound: bytes, at_ms: int, rand: int) -> None:
    """An id of any version as max_id or since_id selects the same tweets as comparing the bytes would."""
    tweet = min(uuid7_of(at_ms, rand), uuid.UUID(int=NEWEST.int - 1))
    assert (tweet < before(bound)) == (tweet.bytes < min(bound, NEWEST.bytes))
    assert (tweet > after(bound)) == (tweet.bytes > bound)


@given(st.binary(min_size=16, max_size=16))
@example(b"\xff" * 16)
@example(bytes(16))
def test_every_bound_has_version_7_and_a_month_that_exists(bound: bytes) -> None:
    assert before(bound).bytes[6] >> 4 == after(bound).bytes[6] >> 4 == 7
    assert 197001 <= month_of(before(bound)) <= 999912
    assert 197001 <= month_of(after(bound)) <= 999912


def test_no_bound_holds_every_tweet() -> None:
    assert (before(b""), after(b"")) == (NEWEST, OLDEST)


@pytest.mark.parametrize(
    ("at", "month"),
    [
        (ms("2026-11-30T23:59:59"), 202611),
        (ms("2026-12-01T00:00:00"), 202612),
        (ms("2027-01-01T00:00:00"), 202701),
        (0, 197001),
    ],
)
def test_month_is_that_of_the_id_in_utc(at: int, month: int) -> None:
    assert month_of(uuid7_of(at)) == month


def test_a_deletion_is_later_than_the_creation_even_by_a_slower_clock() -> None:
    tweet_id = uuid7_of(1_000)
    assert born_us(tweet_id) == 1_000_000
    assert deletion_us(tweet_id, 500_000) == 1_000_001
    assert deletion_us(tweet_id, 2_000_000) == 2_000_000
