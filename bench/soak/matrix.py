"""The scenario `matrix`: every process is lost at every fault point of every operation. The cells are in tests/chaos, run by pytest."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.soak.scenario import Options, Outcome

ROOT = Path(__file__).parent.parent.parent
_TESTS = "tests/chaos/test_matrix.py"
_STOP_WITHIN_S = 60.0


async def run(options: Options) -> Outcome:
    """All cells, whatever `options.minutes` says; `quick`: those of `make test`. Raises RuntimeError when there is no report."""
    with tempfile.TemporaryDirectory(prefix="avb") as folder:
        report = Path(folder) / "matrix.json"
        every = [] if options.quick else ["--full-matrix"]
        code = await _pytest([_TESTS, *every, f"--matrix-report={report}"])
        if not report.exists():
            raise RuntimeError(f"pytest ended with {code} before any cell")
        cells: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))
    failed = [cell for cell in cells if cell["outcome"] != "passed"]
    failures = [f"{c['operation']} {c['point']} {c['how']} {c['victim']}: {c['failure']}" for c in failed]
    if code and not failures:
        failures.append(f"pytest ended with {code}")
    return Outcome({"cells": cells}, failures)


async def _pytest(arguments: Sequence[str]) -> int:
    """Run it in the folder of the project; a run that is cancelled takes its stack down."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "pytest", *arguments, cwd=ROOT, env=os.environ)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        async with asyncio.timeout(_STOP_WITHIN_S):
            await process.wait()
        raise
