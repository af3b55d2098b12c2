"""The scenario `away`: the broker and the database stand still together for half a minute while people go on.

All must be well again without help, and be as it was answered: the run fails at anything that is wrong then.
"""

import asyncio
import os
import signal
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from bench.soak.attempts import figures
from bench.soak.scenario import Options, Outcome
from bench.soak.world import inhabited
from bench.stage import own_environment
from stack import cassandra, nats

_AWAY_S, _QUICK_S = 30.0, 5.0
_BEFORE_S = _AFTER_S = 5.0


async def run(options: Options) -> Outcome:
    """Once, whatever `options.minutes` says. Raises RuntimeError for what is wrong in the end."""
    away_s = _QUICK_S if options.quick else _AWAY_S
    with tempfile.TemporaryDirectory(prefix="avb") as folder:
        # The supervisor would end what hangs so long.
        environment = own_environment(Path(folder)) | {"AVIARY_UNIT_HUNG_S": "300"}
        async with inhabited(environment) as world:
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(world.traffic.run(stop))
                await asyncio.sleep(_BEFORE_S)
                pids = [world.pid(server) for server in (nats.NAME, cassandra.NAME)]
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(away_s)
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
                back = time.monotonic()
                await world.until_ready()
                ready_s = time.monotonic() - back
                await asyncio.sleep(_AFTER_S)
                stop.set()
            attempts = list(world.traffic.seen.attempts)
            audit = await world.checked()
    last = max((attempt.ended - back for attempt in attempts if attempt.error), default=0.0)
    result = {
        "away_s": away_s,
        "ready_s": round(ready_s, 1),
        "last_error_s": round(last, 1),
        "figures": {kind: asdict(each) for kind, each in figures(attempts).items()},
        "audit": audit,
    }
    print(
        f"NATS and Cassandra away for {away_s:g} s: ready {ready_s:.1f} s later, the last error after {last:.1f} s",
        flush=True,
    )
    return Outcome(result)
