"""The simulation over many seeds, and the seed at which it finds each planted bug. It needs no servers."""

import asyncio
import os

from bench.soak.scenario import Options, Outcome
from simulation.bugs import PLANTED
from simulation.runs import run_many

_SEEDS = 20_000
_SEEDS_OF_A_BUG = 200
_QUICK = 20


async def run(options: Options) -> Outcome:
    """Fails with each seed that broke a promise, and when a planted bug is not found."""
    return await asyncio.to_thread(_run, _QUICK if options.quick else _SEEDS)


def _run(seeds: int) -> Outcome:
    workers = len(os.sched_getaffinity(0))
    tally = run_many(range(1, seeds + 1), workers=workers)
    failures = [f"seed {failure.seed}: {failure.broken[0]}" for failure in tally.failed]
    planted: dict[str, object] = {}
    for bug in PLANTED:
        found = run_many(range(1, _SEEDS_OF_A_BUG + 1), bug.name, workers=workers)
        planted[bug.name] = {
            "first_seed": found.failed[0].seed if found.failed else None,
            "found_in": len(found.failed),
            "of_seeds": found.seeds,
        }
        if not found.failed:
            failures.append(f"the planted bug {bug.name} is not found")
    result = {
        "seeds": tally.seeds,
        "operations": tally.operations,
        "seconds": round(tally.seconds, 1),
        "seeds_per_s": round(tally.seeds_per_s, 1),
        "workers": workers,
        "failed": [failure.seed for failure in tally.failed],
        "planted": planted,
    }
    return Outcome(result, failures)
