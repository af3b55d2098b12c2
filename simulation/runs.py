"""Many seeds over several processes: what broke in which, how fast they went, and a failing one written out. One run is world.py."""

import asyncio
import gc
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.pool import Pool

import structlog

from simulation.bugs import PLANTED, Sound
from simulation.world import OPERATIONS, Result, World

_A_FEW = 8
_ABOUT = 60
_SILENT = 50

_ALL: tuple[type[Sound], ...] = (Sound, *PLANTED)
BUGS: dict[str, type[Sound]] = {bug.name: bug for bug in _ALL}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is kept of a run."""

    seed: int
    operations: int
    broken: tuple[str, ...]
    report: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What many runs came to. `seconds` are of the wall, all workers together."""

    seeds: int
    operations: int
    seconds: float
    failed: tuple[Outcome, ...]

    @property
    def seeds_per_s(self) -> float:
        """Runs a second."""
        return self.seeds / self.seconds


def prepare() -> None:
    """Make a process fit for many runs: logs off, and garbage collected between runs only, which also keeps them repeatable."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_SILENT), cache_logger_on_first_use=True)
    # asyncio keeps a book of all tasks for whoever asks for them: nobody does here, and keeping it costs as much as a task.
    asyncio.tasks._all_tasks.add = lambda _: None  # type: ignore[attr-defined]
    gc.collect()
    gc.freeze()
    gc.disable()


def simulate(seed: int, bug: str = Sound.name, operations: int = OPERATIONS) -> Result:
    """One run."""
    return World(seed, BUGS[bug](), operations).run()


@contextmanager
def workers(count: int) -> Iterator[Pool]:
    """Processes that runs are spread over. Not forked: what a process of ours has open is not for its children."""
    with multiprocessing.get_context("spawn").Pool(count, initializer=prepare) as pool:
        yield pool


def run_many(
    seeds: Sequence[int],
    bug: str = Sound.name,
    *,
    pool: Pool,
    operations: int = OPERATIONS,
    stop_after: int = 0,
    tell: Callable[[int, Outcome], None] = lambda _, __: None,
) -> Tally:
    """Run all seeds, or until `stop_after` of them failed; `tell` hears of each how many there were and how it ended."""
    failed: list[Outcome] = []
    done = ran = 0
    began = time.monotonic()
    # Few at a time when not all may be wanted.
    part = _A_FEW if stop_after else len(seeds)
    for start in range(0, len(seeds), part):
        jobs = [(seed, bug, operations) for seed in seeds[start : start + part]]
        for outcome in pool.imap_unordered(_outcome, jobs, chunksize=max(1, min(20, len(jobs) // 16))):
            done += 1
            ran += outcome.operations
            tell(done, outcome)
            if outcome.broken:
                failed.append(outcome)
        if stop_after and len(failed) >= stop_after:
            break
    return Tally(done, ran, time.monotonic() - began, tuple(sorted(failed, key=lambda each: each.seed)))


def report(result: Result, *, whole: bool = False, bug: str = Sound.name) -> str:
    """What broke, how it came to that, and how to see it again."""
    history = result.history
    lines = [f"seed {result.seed}: {len(result.broken)} promises broken"]
    lines += [f"  {each.promise}  {' '.join(map(history.named, each.about))}".rstrip() for each in result.broken[:10]]
    about = {key for each in result.broken[:1] for key in each.about}
    lines += ["", "the whole history" if whole or not about else f"the last {_ABOUT} lines about the first of them"]
    lines += history.lines() if whole or not about else history.about(about, _ABOUT)
    planted = "" if bug == Sound.name else f" BUG={bug}"
    lines += ["", f"again: make simulate SEEDS={result.seed}{planted}      all of its history: … WHOLE=1"]
    return "\n".join(lines)


def _outcome(job: tuple[int, str, int]) -> Outcome:
    seed, bug, operations = job
    result = simulate(seed, bug, operations)
    outcome = Outcome(
        seed,
        result.operations,
        tuple(each.promise for each in result.broken),
        report(result, bug=bug) if result.broken else "",
    )
    if not gc.isenabled():
        # Rarer, it would cost as much in all, and every run would work in memory that no cache of the machine holds.
        gc.collect()
    return outcome
