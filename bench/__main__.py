"""`python -m bench [--quick] [name …]`: runs benchmarks on a stack of their own. A run of all of them is kept in results/.

results/path.md and path.json are the newest run, results/history.jsonl all of them; a run is held against the last one.
"""

import argparse
import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import (
    bus,
    calls,
    disk,
    engage,
    engage_machine,
    engage_reads,
    fanout,
    flood,
    graph,
    history,
    homes,
    pairs,
    posts,
    rest,
    simulate,
    tokens,
)
from bench.cpu import Strangers
from bench.figures import Row
from bench.machine import Machine
from bench.report import as_json, as_markdown
from bench.sizes import FULL, QUICK, Sizes
from bench.stage import Stage, cancel_on_sigterm, staged

RESULTS = Path(__file__).parent / "results"
HISTORY = RESULTS / "history.jsonl"

# In the order in which they run: a stack is at rest before it is used, and Cassandra's compiler is warm when posts are timed.
BENCHMARKS: dict[str, Callable[[Stage], Awaitable[list[Row]]]] = {
    "rest": rest.run,
    "calls": calls.run,
    "bus": bus.run,
    "counting": engage_machine.run,
    "counts": engage_reads.run,
    "graph": graph.run,
    "home": homes.run,
    "fanout": fanout.run,
    "posts": posts.run,
    "likes": engage.run,
    "tokens": tokens.run,
    "flood": flood.run,
    "pairs": pairs.run,
    "simulate": simulate.run,
}


ON_DISK = "disk"
"""It has a stack of its own, with other settings, when the one of all others is down."""

FAILED = " failed"
_BESIDE = "Beside this run"


async def measure(names: list[str], sizes: Sizes) -> list[Row]:
    """The rows of the named benchmarks."""
    cancel_on_sigterm()
    shared = [name for name in names if name != ON_DISK]
    rows = await _on_one_stack(shared, sizes) if shared else []
    if ON_DISK in names:
        rows += await tried(ON_DISK, disk.run(sizes))
    return rows


async def tried(name: str, work: Awaitable[list[Row]]) -> list[Row]:
    """The rows of a benchmark. One that fails has a row that says so: half an hour's figures of the others are worth keeping."""
    print(f"bench: {name}", file=sys.stderr, flush=True)
    try:
        return await work
    except Exception:
        traceback.print_exc()
        return [Row(_BESIDE, f"`{name}`{FAILED}", "times", 1, aim=1)]


async def _on_one_stack(names: list[str], sizes: Sizes) -> list[Row]:
    rows: list[Row] = []
    beside: list[Row] = []
    async with staged(sizes) as stage:
        for name in names:
            strangers = Strangers(stage.meter)
            rows += await tried(name, BENCHMARKS[name](stage))
            beside.append(Row(_BESIDE, f"other programs during `{name}`", "% of all cores", strangers.percent()))
        return rows + await rest.after(stage) + beside


def main() -> None:
    """Run, print the table, and keep it when it is a full run; exits with 1 when a benchmark failed."""
    known = [*BENCHMARKS, ON_DISK]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(known)}; default: all of them")
    parser.add_argument(
        "--quick", action="store_true", help="tiny counts, to see that it runs; the figures mean nothing"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    machine = Machine.now()
    rows = asyncio.run(measure(arguments.names or known, QUICK if arguments.quick else FULL))
    table = as_markdown(machine, rows)
    print(table)
    if not arguments.quick:
        print(history.as_text(history.last(HISTORY, machine), rows))
    if not arguments.names and not arguments.quick:
        RESULTS.mkdir(exist_ok=True)
        history.append(HISTORY, machine, rows)
        (RESULTS / "path.md").write_text(table, encoding="utf-8")
        (RESULTS / "path.json").write_text(json.dumps(as_json(machine, rows), indent=2) + "\n", encoding="utf-8")
    if failed := [row.what for row in rows if row.what.endswith(FAILED)]:
        sys.exit(", ".join(failed))


if __name__ == "__main__":
    main()
