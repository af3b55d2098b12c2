"""A run is held against the last one on such a machine, by ratios where there are ceilings."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.figures import Ceiling, Row
from bench.history import append, as_text, changes, last
from bench.machine import Machine

MACHINE = Machine("2026-01-02T03:04:05+00:00", 2, 16384, "Linux x86_64", "3.11.9", (0.25, 0.5, 1.0))


def read(value: float, ceiling: float = 50) -> Row:
    return Row("Reads", "CPU a read", "us", value, Ceiling("a bare server", ceiling))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def test_a_first_run_has_nothing_to_be_held_against(path: Path) -> None:
    assert last(path, MACHINE) is None
    assert as_text(None, [read(100)]).startswith("No earlier run")


def test_a_run_is_one_line_and_the_last_one_is_found(path: Path) -> None:
    append(path, MACHINE, [read(100)])
    append(path, replace(MACHINE, started_at="2026-02-02T00:00:00+00:00"), [read(200)])
    assert path.read_text().count("\n") == 2
    found = last(path, MACHINE)
    assert found is not None
    assert found["started_at"].startswith("2026-02")


def test_runs_of_another_machine_are_not_compared(path: Path) -> None:
    append(path, replace(MACHINE, cores=64), [read(100)])
    assert last(path, MACHINE) is None


def test_ratios_are_compared_so_that_a_slower_machine_is_no_change(path: Path) -> None:
    append(path, MACHINE, [read(100, ceiling=50)])
    found = last(path, MACHINE)
    assert found is not None
    assert not changes(found, [read(200, ceiling=100)])
    assert [c.share for c in changes(found, [read(200, ceiling=50)])] == [1.0]


def test_a_figure_without_ceiling_is_compared_by_its_value(path: Path) -> None:
    append(path, MACHINE, [Row("Posts", "p50", "ms", 10)])
    found = last(path, MACHINE)
    assert found is not None
    assert [(c.of, c.before, c.now) for c in changes(found, [Row("Posts", "p50", "ms", 13)])] == [("value", 10, 13)]


def test_what_two_runs_of_the_same_code_differ_by_is_not_told(path: Path) -> None:
    append(path, MACHINE, [read(100)])
    found = last(path, MACHINE)
    assert found is not None
    assert not changes(found, [read(110)])
    assert as_text(found, [read(110)]).endswith("nothing.\n")


def test_the_worst_change_comes_first_and_new_or_vanished_figures_are_none(path: Path) -> None:
    better, worse = Row("Posts", "p50", "ms", 10), Row("Posts", "p99", "ms", 10)
    append(path, MACHINE, [better, worse, Row("Posts", "gone", "ms", 1)])
    found = last(path, MACHINE)
    assert found is not None
    now = [replace(better, value=5), replace(worse, value=20), Row("Posts", "new", "ms", 1)]
    text = as_text(found, now)
    assert text.index("+100%  Posts: p99: value 10.0 -> 20.0") < text.index("-50%  Posts: p50: value 10.0 -> 5.00")
    assert "new" not in text
    assert "gone" not in text
