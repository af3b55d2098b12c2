"""A stack of its own for tests that kill parts of it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.aviary import Aviary


@pytest.fixture(scope="session")
def aviary() -> Iterator[Aviary]:
    """Everything that `aviary up` starts, servers included, in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="av") as home:
        stack = Aviary(Path(home), {"AVIARY_NAMESPACE": "chaos"})
        stack.up()
        try:
            yield stack
        finally:
            stack.down()
