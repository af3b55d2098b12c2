"""A stack of its own, on small disks, for tests that kill, halt and starve each part of it."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.aviary import Aviary
from tests.integration.disks import Disk, disk, may_mount

SIZES = {"cassandra": "192m", "nats": "80m", "logs": "16m"}


@dataclass(frozen=True)
class Starved:
    """A running stack, and the disks on which its parts keep what they keep."""

    aviary: Aviary
    disks: dict[str, Disk]

    def disk(self, name: str) -> Disk:
        """One of the disks; the test is skipped where none could be mounted."""
        if not self.disks:
            pytest.skip("a small disk needs the right to mount one")
        return self.disks[name]


@pytest.fixture(scope="module")
def starved() -> Iterator[Starved]:
    """Everything that `aviary up` starts, in a home of its own; what hangs is noticed after 2 s."""
    with ExitStack() as kept:
        home = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="av")))
        sizes = SIZES if may_mount() else {}
        disks = {name: kept.enter_context(disk(home / name, size)) for name, size in sizes.items()}
        settings = {
            "AVIARY_NAMESPACE": "faults",
            "AVIARY_UNIT_HUNG_S": "2",
            "AVIARY_CASSANDRA_HEAP_MB": "384",
            # A node that died plays back the batches that nobody acknowledged, 40 to 50 s after they were written.
            "AVIARY_OUTBOX_RELAY_AGES_S": "2,6,20,75",
        }
        stack = Aviary(home, settings)
        stack.up()
        try:
            yield Starved(stack, disks)
        finally:
            stack.down()


@pytest.fixture
def aviary(starved: Starved) -> Aviary:
    """The stack alone."""
    return starved.aviary
