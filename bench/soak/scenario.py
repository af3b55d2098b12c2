"""What every soak scenario is given and gives back. The scenarios themselves are modules beside this one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How much a run does."""

    minutes: float
    """For scenarios that go on until a time is over; others do all that they have."""
    quick: bool
    """Only to see that it runs: as little as possible, whatever `minutes` says."""


@dataclass(frozen=True)
class Outcome:
    """What a run found."""

    result: Mapping[str, object]
    """Kept as JSON in bench/results/, also when something was wrong."""
    failures: Sequence[str] = ()
    """What was wrong, a line each; the whole command fails when there is one."""


Scenario = Callable[[Options], Awaitable[Outcome]]
"""Starts what it needs in homes of its own and takes it down. May raise RuntimeError: then nothing is kept."""
