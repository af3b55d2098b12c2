"""Seeds of the simulation a second, all cores together; what it finds is the simulation's matter."""

import asyncio
import os

from bench.figures import Row
from bench.stage import Stage
from simulation.runs import run_many
from simulation.world import OPERATIONS

NAME = "Simulation"
AIM_SEEDS_PER_S = 50.0


async def run(stage: Stage) -> list[Row]:
    """The time that a run takes; the start of the workers is a part of it that the number of seeds makes small."""
    return await asyncio.to_thread(_rows, stage.sizes.seeds)


def _rows(seeds: int) -> list[Row]:
    workers = len(os.sched_getaffinity(0))
    tally = run_many(range(1, seeds + 1), workers=workers)
    what = f"a run of {OPERATIONS} operations, {workers} processes at once"
    return [Row(NAME, what, "ms", 1000 / tally.seeds_per_s, aim=1000 / AIM_SEEDS_PER_S)]
