"""docs/pitfalls.md explains every pitfall that a docstring, a comment or a page names, and its rows lead to tests that name it."""

import ast
import re
from functools import cache

from tests.contract.contracts import ROOT
from tools.rules.rules import tracked_files

PAGE = "docs/pitfalls.md"
NUMBER = re.compile(r"\bP[1-9]\d?\b")
ROWS = dict(re.findall(r"^\| (P\d+) \|.*\| ([^|]+) \|$", (ROOT / PAGE).read_text(), re.M))
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def numbers(path: str, text: str) -> set[str]:
    """The pitfalls that a file names. In code those are in docstrings and comments: names of constants can look alike."""
    if path.endswith(".py") and NUMBER.search(text):
        told = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED)]
        text = "\n".join(told + re.findall(r"(?:^|\s)# .*", text, re.M))
    return set(NUMBER.findall(text))


@cache
def named() -> dict[str, set[str]]:
    """The pitfalls that each Python and Markdown file names, by its path; without the page itself."""
    files = {path: text for path, text in tracked_files().items() if path.endswith((".py", ".md")) and path != PAGE}
    return {path: found for path, text in files.items() if (found := numbers(path, text))}


def test_every_pitfall_that_is_named_somewhere_has_its_row() -> None:
    untold = {path: sorted(found - set(ROWS)) for path, found in named().items() if found - set(ROWS)}
    assert not untold, (
        f"{PAGE}: add a row for each of these numbers: what users suffered, and where it is tested: {untold}"
    )


def test_every_file_in_a_row_exists_and_names_its_pitfall() -> None:
    places = [(number, path) for number, cell in ROWS.items() for path in re.findall(r"`([^`]+)`", cell)]
    assert len(places) >= len(ROWS) / 2, f"{PAGE}: rows were read, and the files in them were not"
    gone = [f"{number}: {path}" for number, path in places if not (ROOT / path).is_file()]
    assert not gone, f"{PAGE} names files that are not there: {gone}"
    silent = [f"{number}: {path}" for number, path in places if number not in named().get(path, set())]
    assert not silent, f"{PAGE} names files in which no docstring names the pitfall: {silent}"


def test_rows_stand_in_the_order_of_their_numbers() -> None:
    order = [int(number.removeprefix("P")) for number in ROWS]
    assert order == sorted(order)
