"""A benchmark that fails is told; what the others measured is kept."""

import pytest

from bench.__main__ import FAILED, tried
from bench.figures import Row

ROW = Row("b", "w", "us", 1.0)


async def measures() -> list[Row]:
    return [ROW]


async def fails() -> list[Row]:
    raise RuntimeError("a like was answered 503")


async def test_the_rows_of_a_benchmark_are_its_own() -> None:
    assert await tried("likes", measures()) == [ROW]


async def test_one_that_fails_is_a_row_that_meets_no_aim_and_its_reason_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (row,) = await tried("disk", fails())
    assert row.what == f"`disk`{FAILED}"
    assert row.met is False
    assert "a like was answered 503" in capsys.readouterr().err
