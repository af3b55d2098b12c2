"""Seeds of the simulation a second, all cores together; what it finds is the simulation's matter."""

import asyncio
import os

from bench.figures import Row
from bench.stage import Stage
from simulation.runs import run_many, workers
from simulation.world import OPERATIONS

NAME = "Simulation"
AIM_SEEDS_PER_S = 50.0


async def run(stage: Stage) -> list[Row]:
    """The time that a run takes."""
    return await asyncio.to_thread(_rows, stage.sizes.seeds)


def _rows(seeds: int) -> list[Row]:
    count = len(os.sched_getaffinity(0))
    with workers(count) as pool:
        # Each has everything loaded and made its first run.
        run_many(range(2 * count), pool=pool)
        tally = run_many(range(1, seeds + 1), pool=pool)
    what = f"a run of {OPERATIONS} operations, {count} processes at once"
    return [Row(NAME, what, "ms", 1000 / tally.seeds_per_s, aim=1000 / AIM_SEEDS_PER_S)]
