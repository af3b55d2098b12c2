"""The table says of every row what was measured, beside which ceiling, and whether its aim is met."""

import json

import pytest

from bench.figures import Ceiling, Row
from bench.machine import Machine
from bench.report import as_json, as_markdown, number

MACHINE = Machine("2026-01-02T03:04:05+00:00", 2, 16384, "Linux x86_64", "3.11.9", (0.25, 0.5, 1.0))
BARE = Ceiling("a bare server", 50)
ROWS = [
    Row("Reads", "CPU a read", "us", 1500, BARE, 2000, {"redis": 300, "edge": 1200}),
    Row("Reads", "p99", "ms", 12.34, Ceiling("something else", 2), 10),
    Row("Posts", "p50", "ms", 3.456),
]


def line(table: str, what: str) -> str:
    return next(text for text in table.splitlines() if text.startswith(f"| {what} "))


def test_a_line_holds_value_ceiling_ratio_aim_and_verdict() -> None:
    table = as_markdown(MACHINE, ROWS)
    assert line(table, "CPU a read") == "| CPU a read | us | 1,500 | 50.0 (a) | 30.0 | < 2,000 | met |"
    assert line(table, "p99") == "| p99 | ms | 12.3 | 2.00 (b) | 6.17 | < 10.0 | not met |"
    assert line(table, "p50") == "| p50 | ms | 3.46 |  |  |  |  |"


def test_every_ceiling_is_explained_once_under_its_table() -> None:
    assert "Ceilings: (a) a bare server; (b) something else.\n" in as_markdown(MACHINE, ROWS)


def test_parts_come_largest_first() -> None:
    assert "- CPU a read: edge 1,200, redis 300\n" in as_markdown(MACHINE, ROWS)


def test_each_benchmark_has_a_table_of_its_own() -> None:
    table = as_markdown(MACHINE, ROWS)
    assert table.index("## Reads") < table.index("## Posts")
    assert table.count("| what | unit |") == 2


def test_the_machine_and_how_busy_it_was_stand_above() -> None:
    head = as_markdown(MACHINE, [])
    assert "2 cores, 16 GiB, Python 3.11.9, load average at the start 0.2, 0.5, 1.0" in head


def test_the_json_holds_what_is_computed_too() -> None:
    whole = json.loads(json.dumps(as_json(MACHINE, ROWS)))
    assert whole["machine"]["cores"] == 2
    assert [(row["ratio"], row["met"]) for row in whole["rows"]] == [(30, True), (6.17, False), (None, None)]


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.0, "0.00"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_numbers_have_three_digits_that_count(value: float | None, text: str) -> None:
    assert number(value) == text
