"""Windows are read as lists in order, spans and their borders, bounds that CQL understands."""

import math
import uuid
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from runtime.ids import ms_of, uuid7_of
from svc_timeline.domain import (
    CLOCK_SKEW_MS,
    LAG_UNKNOWN,
    LAST_ID,
    NO_ID,
    Entry,
    Span,
    Window,
    arrived_ms,
    following,
    merged,
    newest,
    page_of,
    preceding,
    read_window,
    span_asked,
    span_behind,
    uuid_at_or_after,
)

START_MS = 1_760_000_000_000
AUTHOR = uuid7_of(1).bytes
EVERYTHING = Span(NO_ID, LAST_ID)

# When a tweet was made, how long it took to arrive, and how far its clock was ahead.
tweets = st.tuples(
    st.integers(0, 60_000), st.integers(0, 30_000), st.integers(-CLOCK_SKEW_MS, CLOCK_SKEW_MS), st.integers(0, 3)
)
ids = st.binary(min_size=16, max_size=16)


def entry(ms: int, rand: int = 0) -> Entry:
    return Entry(uuid7_of(START_MS + ms, rand).bytes, AUTHOR)


def window_of(arrivals: Sequence[tuple[Entry, float]], count: int, floor: bytes = NO_ID) -> Window:
    """What a reader gets of these arrivals, latest first."""
    seen = arrivals[:count]
    oldest = seen[-1][1] if seen else math.inf
    return Window(True, b"", floor, b"", len(arrivals), [e for e, _ in seen], oldest)


def arrivals_of(made: Sequence[tuple[int, int, int, int]]) -> list[tuple[Entry, float]]:
    """Tweets in the order of their arrival, latest first; an id may run ahead of its arrival by the skew of clocks."""
    arrivals = [
        (entry(at + min(skew, delay + CLOCK_SKEW_MS), rand), START_MS + at + delay) for at, delay, skew, rand in made
    ]
    return sorted(arrivals, key=lambda arrival: -arrival[1])


@given(made=st.lists(tweets, max_size=40), count=st.integers(1, 45), limit=st.integers(1, 12), twice=st.booleans())
def test_a_part_of_a_window_is_read_as_the_whole_or_refused(
    made: list[tuple[int, int, int, int]], count: int, limit: int, twice: bool
) -> None:
    """P6, P8: whatever came late, twice or out of order, the page is that of all entries in order, or more must be read."""
    arrivals = arrivals_of([*made, *made] if twice else made)
    truth = sorted({e for e, _ in arrivals}, reverse=True)[:limit]
    page = read_window(window_of(arrivals, count), EVERYTHING, limit)
    assert page is None or page == truth
    if count >= len(arrivals):
        assert page == truth


@given(made=st.lists(tweets, min_size=1, max_size=40), count=st.integers(1, 45), data=st.data())
def test_a_part_of_a_window_is_read_as_the_whole_between_any_two_ids_above_the_floor(
    made: list[tuple[int, int, int, int]], count: int, data: st.DataObject
) -> None:
    """P6: nothing at or below the floor is served, and what is above it is complete."""
    arrivals = arrivals_of(made)
    known = st.sampled_from([NO_ID, LAST_ID, *(e.entry_id for e, _ in arrivals)])
    floor, low, high = data.draw(known), data.draw(known), data.draw(known)
    truth = sorted({e for e, _ in arrivals if floor < e.entry_id and low <= e.entry_id < high}, reverse=True)[:5]
    page = read_window(window_of(arrivals, count, floor), Span(low, high), 5)
    assert page is None or page == truth


@given(
    placed=st.lists(st.integers(0, 60_000), max_size=30, unique=True),
    pushed=st.lists(st.tuples(st.integers(0, 90_000), st.integers(90_000, 99_000)), max_size=10),
    count=st.integers(1, 45),
    limit=st.integers(1, 12),
)
def test_a_part_of_a_window_in_order_is_read_as_the_whole_or_refused(
    placed: list[int], pushed: list[tuple[int, int]], count: int, limit: int
) -> None:
    """P6: a window that was built, and what arrived since, late entries among it."""
    arrivals = sorted(((entry(ms), START_MS + float(at)) for ms, at in pushed), key=lambda arrival: -arrival[1])
    arrivals += [(entry(ms), math.inf) for ms in sorted(placed, reverse=True)]
    window = replace(window_of(arrivals, count), placed=min(count, len(arrivals)) > len(pushed))
    truth = sorted({e for e, _ in arrivals}, reverse=True)[:limit]
    page = read_window(window, EVERYTHING, limit)
    assert page is None or page == truth


def test_a_window_in_order_is_read_no_further_than_the_page() -> None:
    arrivals = [(entry(ms), math.inf) for ms in (9, 8, 7, 6)]
    window = replace(window_of(arrivals, 3), placed=True)
    assert read_window(window, EVERYTHING, 3) == [entry(9), entry(8), entry(7)]
    assert read_window(window, EVERYTHING, 4) is None


def test_a_late_arrival_alone_does_not_end_the_reading() -> None:
    late = [(entry(0), START_MS + 100_000.0), (entry(90_000), START_MS + 90_000.0)]
    assert read_window(window_of(late, 1), EVERYTHING, 1) is None


def test_what_is_deeper_may_be_newer_by_the_skew_of_clocks() -> None:
    """P6: it was made by a clock that is ahead, and arrived before what was read."""
    arrivals = [(entry(90_000), START_MS + 90_000.0), (entry(94_000), START_MS + 89_000.0)]
    assert read_window(window_of(arrivals, 1), EVERYTHING, 1) is None
    assert read_window(window_of(arrivals, 2), EVERYTHING, 1) == [entry(94_000)]


def test_reading_ends_once_what_is_deeper_must_be_older() -> None:
    arrivals = [(entry(ms), START_MS + float(ms)) for ms in (90_000, 80_000, 70_000)]
    assert read_window(window_of(arrivals, 2), EVERYTHING, 1) == [entry(90_000)]


@given(
    old=st.lists(st.integers(0, 50), max_size=20),
    pushed=st.lists(st.integers(0, 50), max_size=20),
    floors=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    capacity=st.integers(1, 30),
)
def test_a_merged_window_lacks_nothing_above_its_floor(
    old: list[int], pushed: list[int], floors: tuple[int, int], capacity: int
) -> None:
    window = window_of([(entry(ms), 0.0) for ms in pushed], 100, entry(floors[0]).entry_id)
    entries, floor = merged(window, [entry(ms) for ms in old], entry(floors[1]).entry_id, capacity)
    both = {entry(ms) for ms in (*old, *pushed)}
    assert floor >= max(entry(floors[0]).entry_id, entry(floors[1]).entry_id)
    assert entries == sorted((e for e in both if e.entry_id > floor), reverse=True)
    assert len(entries) <= capacity


def test_a_span_ends_before_max_id_and_begins_after_since_id() -> None:
    now_ms = START_MS + 1000
    span = span_asked(entry(900).entry_id, entry(100).entry_id, now_ms, depth_ms=10_000)
    found = newest([entry(ms) for ms in (100, 101, 500, 899, 900)], span, 10)
    assert found == [entry(ms) for ms in (899, 500, 101)]


def test_a_span_reaches_no_deeper_than_homes_do() -> None:
    span = span_asked(b"", entry(100).entry_id, START_MS + 10_000, depth_ms=5_000)
    assert not span.holds(entry(4_999).entry_id)
    assert span.holds(entry(5_000).entry_id)


def test_the_store_goes_on_at_the_floor_and_not_before_the_span() -> None:
    window = window_of([], 1, floor=entry(50).entry_id)
    behind = span_behind(window, Span(entry(10).entry_id, entry(90).entry_id))
    assert (behind.holds(entry(50).entry_id), behind.holds(entry(51).entry_id)) == (True, False)
    assert span_behind(window, Span(entry(51).entry_id, LAST_ID)).empty


def test_a_page_has_more_when_an_entry_follows_it() -> None:
    entries = [entry(1), entry(2), entry(3)]
    assert page_of(entries, EVERYTHING, 2).has_more
    assert not page_of(entries, EVERYTHING, 3).has_more


@given(value=ids)
def test_neighbours_of_an_id_are_next_to_it(value: bytes) -> None:
    assert preceding(following(value)) == value or value == LAST_ID
    assert preceding(NO_ID) == NO_ID
    assert following(LAST_ID) == LAST_ID


@example(bound=uuid7_of(5, (1 << 74) - 1).int | 0b11 << 62, ms=5, rand=(1 << 74) - 1)
@example(bound=uuid7_of(5, 7 << 62).int | 0b11 << 62, ms=5, rand=7 << 62)
@given(bound=st.integers(0, (1 << 127) - 1), ms=st.integers(0, (1 << 47) - 1), rand=st.integers(0, (1 << 74) - 1))
def test_a_bound_for_cql_parts_uuids_where_its_bytes_do(bound: int, ms: int, rand: int) -> None:
    least = uuid_at_or_after(bound.to_bytes(16))
    assert (least.version, least.variant) == (7, uuid.RFC_4122)
    assert least.int >= bound
    other = uuid7_of(ms, rand)
    assert (other.int >= bound) == (other >= least)


@given(value=st.integers(1, (1 << 121) - 2))
def test_a_bound_for_cql_is_the_id_itself_and_after_it_a_greater_one(value: int) -> None:
    exact = uuid7_of(value >> 74, value)
    assert uuid_at_or_after(preceding(exact.bytes)) <= exact
    assert uuid_at_or_after(exact.bytes) == exact
    assert uuid_at_or_after(following(exact.bytes)) > exact


def test_an_arrival_whose_lag_does_not_fit_has_no_known_time() -> None:
    assert arrived_ms(entry(0).entry_id, LAG_UNKNOWN) == math.inf
    assert arrived_ms(entry(0).entry_id, 7) == ms_of(entry(0).entry_id) + 7
