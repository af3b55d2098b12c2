"""Percentiles, ratios and aims are computed from what was measured, and from nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Ceiling, Row, each_us, percentile
from bench.load import latencies


def row(value: float, ceiling: float | None = None, aim: float | None = None) -> Row:
    return Row("b", "w", "us", value, None if ceiling is None else Ceiling("c", ceiling), aim)


def test_the_median_of_an_odd_count_is_the_middle_one_in_whatever_order() -> None:
    assert percentile([5, 1, 3], 0.5) == 3


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = list(range(1, 201))
    assert percentile(values, 0.95) == 190
    assert percentile(values, 0.99) == 198
    assert percentile(values, 1.0) == 200


def test_of_a_single_value_every_percentile_is_that_value() -> None:
    assert {percentile([7.0], share) for share in (0.0, 0.5, 0.99)} == {7.0}


def test_without_values_there_is_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@given(st.lists(st.floats(0, 1000), min_size=1), st.floats(0.01, 1))
def test_so_many_values_do_not_exceed_the_percentile(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


def test_the_ratio_is_to_the_ceiling() -> None:
    assert row(30, ceiling=10).ratio == 3


def test_a_row_without_a_ceiling_or_with_one_of_nothing_has_no_ratio() -> None:
    assert row(30).ratio is None
    assert row(30, ceiling=0).ratio is None


def test_an_aim_is_met_only_below_it() -> None:
    assert row(1.9, aim=2).met is True
    assert row(2, aim=2).met is False
    assert row(2).met is None


def test_cpu_is_divided_among_what_was_done_and_idle_processes_are_left_out() -> None:
    assert each_us({"edge": 0.5, "nats": 0.0}, 1000) == {"edge": 500}


def test_latencies_are_told_in_milliseconds() -> None:
    seen = latencies([0.001, 0.002, 0.003], 1.5)
    assert (seen.count, seen.seconds, seen.p50_ms, seen.p99_ms) == (3, 1.5, 2, 3)
