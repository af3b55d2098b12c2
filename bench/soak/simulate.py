"""The simulation over many seeds, and the seed at which it finds each planted bug. It needs no servers."""

import asyncio
import os

from bench.soak.scenario import Options, Outcome
from simulation.bugs import PLANTED
from simulation.runs import run_many, workers

_SEEDS = 2_000
_SEEDS_OF_A_BUG = 200
_QUICK = 20


async def run(options: Options) -> Outcome:
    """Fails with each seed that broke a promise, and when a planted bug is not found."""
    return await asyncio.to_thread(_run, _QUICK if options.quick else _SEEDS)


def _run(seeds: int) -> Outcome:
    count = len(os.sched_getaffinity(0))
    with workers(count) as pool:
        tally = run_many(range(1, seeds + 1), pool=pool)
        found = {bug.name: run_many(range(1, _SEEDS_OF_A_BUG + 1), bug.name, pool=pool) for bug in PLANTED}
    failures = [f"seed {failure.seed}: {failure.broken[0]}" for failure in tally.failed]
    failures += [f"the planted bug {name} is not found" for name, each in found.items() if not each.failed]
    planted = {
        name: {
            "first_seed": each.failed[0].seed if each.failed else None,
            "found_in": len(each.failed),
            "of_seeds": each.seeds,
        }
        for name, each in found.items()
    }
    result = {
        "seeds": tally.seeds,
        "operations": tally.operations,
        "seconds": round(tally.seconds, 1),
        "seeds_per_s": round(tally.seeds_per_s, 1),
        "workers": count,
        "failed": [failure.seed for failure in tally.failed],
        "planted": planted,
    }
    return Outcome(result, failures)
