"""Who is away, and how a page says so."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.ids import uuid7_of
from svc_graph.away import DAY_MS, bitmap, day_of, is_away, latest_away, registered_by, with_present
from svc_timeline.days import reader_day

ACTIVE_DAYS = 30
NOW_MS = 20_000 * DAY_MS + 5_000_000
TODAY = day_of(NOW_MS)
LATEST = latest_away(TODAY, ACTIVE_DAYS)


def person(day: int, number: int = 0) -> bytes:
    """Who registered on a day."""
    return uuid7_of(day * DAY_MS, number).bytes


@pytest.mark.parametrize(
    ("registered", "seen", "since", "away"),
    [
        (1_000, None, 1_000, True),
        (1_000, LATEST, 1_000, True),
        (LATEST, None, LATEST, True),
        (LATEST + 1, None, 1_000, False),
        (1_000, LATEST + 1, 1_000, False),
        (1_000, TODAY, 1_000, False),
        (1_000, None, LATEST + 1, False),
        (1_000, None, None, False),
    ],
)
def test_away_is_who_neither_registered_nor_read_lately_as_far_as_days_are_kept(
    registered: int, seen: int | None, since: int | None, away: bool
) -> None:
    assert is_away(person(registered), seen, since, LATEST) == away


def test_who_has_an_id_without_a_time_is_never_away() -> None:
    assert not is_away(uuid.UUID(int=7, version=4).bytes, None, 1_000, LATEST)


@given(
    reader=st.integers(0, 2**62).map(lambda rand: uuid7_of(1_000 * DAY_MS, rand).bytes),
    ago_ms=st.integers(0, 40 * DAY_MS),
    now_ms=st.integers(19_000 * DAY_MS, 21_000 * DAY_MS),
)
def test_nobody_who_read_within_thirty_days_is_away_whenever_their_days_begin(
    reader: bytes, ago_ms: int, now_ms: int
) -> None:
    """The day is noted at the first read of it; whoever reads later on that day is not noted again."""
    day = reader_day(reader, now_ms - ago_ms)
    away = is_away(reader, day, 1_000, latest_away(day_of(now_ms), ACTIVE_DAYS))
    if ago_ms <= ACTIVE_DAYS * DAY_MS:
        assert not away
    if ago_ms > (ACTIVE_DAYS + 3) * DAY_MS:
        assert away


def test_of_ids_in_ascending_order_those_registered_by_a_day_come_first() -> None:
    ids = [person(day, number) for day in (100, 200, 200, 201, 300) for number in (0, 1 << 70)]
    assert [registered_by(sorted(ids), day) for day in (99, 100, 199, 200, 201, 400)] == [0, 2, 2, 6, 8, 10]


@pytest.mark.parametrize(
    ("away", "count", "bits"),
    [
        ([], 0, b""),
        ([], 5, b""),
        ([False] * 9, 9, b""),
        ([True], 1, b"\x7f"),
        ([False, True, False], 3, b"\xbf"),
        ([True] * 8, 8, b"\x00"),
        ([True] * 8, 9, b"\x00\xff"),
        ([False] * 8 + [True], 9, b"\xff\x7f"),
    ],
)
def test_a_bitmap_has_a_bit_for_each_reader_the_first_the_highest_and_none_when_nobody_is_away(
    away: list[bool], count: int, bits: bytes
) -> None:
    assert bitmap(away, count) == bits


@given(away=st.lists(st.booleans(), max_size=60), rest=st.integers(0, 20), returned=st.sets(st.integers(0, 90)))
def test_bits_of_those_who_returned_are_set_and_no_others(away: list[bool], rest: int, returned: set[int]) -> None:
    everybody = [person(1_000, number) for number in range(91)]
    count = min(len(away) + rest, 80)
    away = away[:count]
    page = b"".join(everybody[:count])
    expected = [one and number not in returned for number, one in enumerate(away)]
    bits = with_present(bitmap(away, count), page, [everybody[number] for number in returned])
    assert (bits or b"\xff" * (-(-count // 8))) == (bitmap(expected, count) or b"\xff" * (-(-count // 8)))


def test_who_returned_and_is_not_on_the_page_changes_nothing() -> None:
    page = person(5) + person(7)
    assert with_present(b"\x3f", page, [person(4), person(6), person(8)]) == b"\x3f"
    assert with_present(b"", page, [person(5)]) == b""
