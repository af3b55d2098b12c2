"""`python -m simulation 1-3000`: run the seeds, print how many a second, and the history of those that failed."""

import argparse
import os
import sys
from collections.abc import Sequence

from simulation.bugs import Sound
from simulation.runs import BUGS, Outcome, prepare, report, run_many, simulate, workers
from simulation.world import OPERATIONS

_SHOWN = 3
_PROGRESS = 500


def main(arguments: Sequence[str]) -> int:
    """0 when no promise was broken."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("seeds", type=seeds_of, help="one seed (1234) or a range of them (1-3000)")
    parser.add_argument("--bug", choices=sorted(BUGS), default=Sound.name, help="plant this bug")
    parser.add_argument("--operations", type=int, default=OPERATIONS, help="things that people do in a run")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--whole", action="store_true", help="print the whole history of a single seed")
    chosen = parser.parse_args(arguments)
    prepare()
    if len(chosen.seeds) == 1:
        return _one(chosen.seeds[0], chosen.bug, chosen.operations, chosen.whole)
    shown = 0

    def tell(done: int, outcome: Outcome) -> None:
        nonlocal shown
        if outcome.broken and shown < _SHOWN:
            shown += 1
            print(outcome.report, end="\n\n", flush=True)
        if done % _PROGRESS == 0:
            print(f"{done} of {len(chosen.seeds)} seeds", file=sys.stderr, flush=True)

    with workers(chosen.workers) as pool:
        tally = run_many(chosen.seeds, chosen.bug, pool=pool, operations=chosen.operations, tell=tell)
    if tally.failed:
        print(f"failed: {' '.join(str(failure.seed) for failure in tally.failed)}")
    print(
        f"{tally.seeds} seeds with {tally.operations} operations in {tally.seconds:.1f} s,"
        f" {tally.seeds_per_s:.1f} seeds/s: {len(tally.failed)} failed"
    )
    return 1 if tally.failed else 0


def seeds_of(text: str) -> Sequence[int]:
    """Seeds as they are written: `7` or `1-3000`."""
    first, _, last = text.partition("-")
    found = range(int(first), int(last or first) + 1)
    if not found:
        raise argparse.ArgumentTypeError("the range is empty")
    return found


def _one(seed: int, bug: str, operations: int, whole: bool) -> int:
    result = simulate(seed, bug, operations)
    if result.broken:
        print(report(result, whole=whole, bug=bug))
        return 1
    if whole:
        print("\n".join(result.history.lines()))
    print(f"seed {seed}: {result.operations} operations, no promise broken")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
