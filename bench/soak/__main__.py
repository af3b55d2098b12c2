"""`python -m bench.soak [--minutes N] [--quick] [scenario …]`: long runs under faults, each kept in results/soak-<scenario>.json."""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from bench.machine import Machine
from bench.soak import away, kills, matrix, nodes, ordered, simulate
from bench.soak.scenario import Options, Outcome, Scenario
from bench.stage import cancel_on_sigterm

RESULTS = Path(__file__).parent.parent / "results"

SCENARIOS: dict[str, Scenario] = {
    "kills": kills.run,
    "away": away.run,
    "matrix": matrix.run,
    "nodes": nodes.run,
    "ordered": ordered.run,
    "simulate": simulate.run,
}


async def measure(scenario: Scenario, options: Options) -> Outcome:
    """One scenario, whose stack is taken down also when this process is told to end."""
    cancel_on_sigterm()
    return await scenario(options)


def main() -> None:
    """Run one after the other, keep what each found, and fail when any found something wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="scenario", help=f"of {', '.join(SCENARIOS)}; default: all of them")
    parser.add_argument("--minutes", type=float, default=30, help="of each scenario that has no end of its own")
    parser.add_argument(
        "--quick", action="store_true", help="as little as possible, to see that it runs; nothing is kept"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(SCENARIOS):
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}")
    options = Options(arguments.minutes, arguments.quick)
    failures: list[str] = []
    for name in arguments.names or SCENARIOS:
        print(f"soak: {name}", file=sys.stderr, flush=True)
        machine = Machine.now()
        outcome = asyncio.run(measure(SCENARIOS[name], options))
        failures += [f"{name}: {failure}" for failure in outcome.failures]
        if not options.quick:
            whole = {"machine": asdict(machine), **outcome.result}
            (RESULTS / f"soak-{name}.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    for failure in failures:
        print(failure, file=sys.stderr)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
