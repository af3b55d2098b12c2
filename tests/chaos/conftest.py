"""A stack of its own for tests that kill parts of it, and the options by which a soak run does the whole matrix and keeps what it found."""

import json
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cast import Cast
from tests.chaos.growing import LEVEL0
from tests.e2e.aviary import Aviary

CELLS_A_CAST = 40

_kept = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-matrix", action="store_true", help="every victim at every fault point, not only some")
    parser.addoption("--matrix-report", metavar="FILE", help="write what became of each cell of the matrix, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_kept] = []
    # Whoever is told to end takes the stack down first, as after Ctrl-C (which programs in the background do not hear).
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Keep what a test of the matrix recorded, with how it ended."""
    report = yield
    cell = dict(item.user_properties).get("cell")
    if isinstance(cell, dict) and (report.when == "call" or report.failed):
        found = {**cell, "outcome": report.outcome, "took_s": round(report.duration, 1)}
        if report.failed:
            # Of what a task group gathered the last line is its frame.
            found["failure"] = report.longreprtext.rstrip(" |+-\n").splitlines()[-1].lstrip(" |")
        item.config.stash[_kept].append(found)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if file := session.config.getoption("--matrix-report"):
        Path(file).write_text(json.dumps(session.config.stash[_kept], indent=1) + "\n", encoding="utf-8")


@pytest.fixture(scope="package")
def aviary() -> Iterator[Aviary]:
    """Everything that `aviary up` starts, servers included, in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="av") as home:
        environment = {
            "AVIARY_NAMESPACE": "chaos",
            "AVIARY_USER_ACCESS_TOKEN_S": "86400",
            "AVIARY_USER_RENAMES": "1000000",
            # So that a handful of followers is several pages of one fan-out.
            "AVIARY_TIMELINE_CHUNK": "2",
            # So that somebody has more followers than one partition takes, and it is seen to grow.
            "AVIARY_GRAPH_LEVEL0": str(LEVEL0),
            "AVIARY_GRAPH_LEVEL_BELIEVED_MS": "300",
            # What a dead worker had in hand goes to its successor soon.
            "AVIARY_NATS_ACK_WAIT_S": "2",
        }
        stack = Aviary(Path(home), environment)
        stack.up()
        try:
            yield stack
        finally:
            stack.down()


class Troupe:
    """Lends casts, each for a number of cells: people whose homes do not grow beyond a page."""

    def __init__(self, aviary: Aviary) -> None:
        self._aviary = aviary
        self._cast: Cast | None = None
        self._left = 0

    async def cast(self) -> Cast:
        """The people of the next cell."""
        if self._cast is None or self._left == 0 or self._cast.spoilt:
            await self.close()
            await self._aviary.calm()
            self._cast, self._left = await Cast.assembled(self._aviary), CELLS_A_CAST
        self._left -= 1
        return self._cast

    async def close(self) -> None:
        """Everybody goes home."""
        if self._cast is not None:
            cast, self._cast = self._cast, None
            try:
                if not cast.spoilt:
                    await cast.counts_are_right()
            finally:
                await cast.close()


@pytest.fixture(scope="package")
async def troupe(aviary: Aviary) -> AsyncIterator[Troupe]:
    troupe = Troupe(aviary)
    yield troupe
    await troupe.close()


@pytest.fixture
async def cast(troupe: Troupe) -> Cast:
    return await troupe.cast()
