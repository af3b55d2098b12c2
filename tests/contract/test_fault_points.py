"""Every place at which the code lets a test strike is struck: by some cell in every run of the tests, by all in the full matrix."""

import re

from tests.chaos.cells import EDGE, HANGS, POINTS, PROCESSES, cells
from tests.contract.contracts import ROOT, sources

CALL = re.compile(r"faults\.at\((.*?)\)", re.DOTALL)
PACKAGES = [
    path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in ("bench", "tools", "tests")
]


def in_code() -> set[str]:
    """The argument of every call, as it stands there."""
    return {argument for text in sources(*PACKAGES).values() for argument in CALL.findall(text)}


def test_the_points_in_the_code_are_those_of_the_matrix() -> None:
    assert in_code() == {f'"{point}"' for points in POINTS.values() for point in points}


def test_every_point_is_struck_in_every_run_of_the_tests() -> None:
    struck = {(cell.operation, cell.point) for cell in cells(full=False)}
    assert struck >= {(operation, point) for operation, points in POINTS.items() for point in points}


def test_the_full_matrix_kills_every_process_at_every_point_and_hangs_each_but_the_edge_somewhere() -> None:
    every = {(operation, point) for operation, points in POINTS.items() for point in points}
    full = {(cell.operation, cell.point, cell.victim, cell.how) for cell in cells(full=True)}
    assert full >= {(*place, victim, "kill") for place in every for victim in PROCESSES}
    assert {victim for _, _, victim, how in full if how == "hang"} == set(PROCESSES) - {EDGE}
    assert all(point in POINTS[operation] for operation, (point, _) in HANGS.items())


def test_every_point_says_what_is_true_there() -> None:
    told = (ROOT / "tests" / "chaos" / "README.md").read_text()
    rows = set(re.findall(r"^\| `([a-z_.]+)` \|", told, re.MULTILINE))
    assert rows == {point for points in POINTS.values() for point in points}
