"""The scenario `kills`: one process after the other is killed under traffic, and every home is audited after each.

What was killed, how long it was away and what was promised meanwhile is its result; the run ends at the first wrong home.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench.soak.scenario import Options, Outcome
from bench.soak.world import World, inhabited, until
from bench.stage import own_environment

_BEFORE_S = 1.0


@dataclass(frozen=True)
class Kill:
    """One process to kill: at a named point of its own work, or, without one, from outside at no particular moment."""

    process: str
    point: str = ""


KILLS = (
    Kill("svc_tweet", "tweet.create.after_claim"),
    Kill("svc_timeline", "timeline.chunk.middle"),
    Kill("nats"),
    Kill("svc_tweet", "tweet.create.after_batch"),
    Kill("svc_timeline", "timeline.plan.after_jobs"),
    Kill("redis"),
    Kill("svc_timeline", "timeline.chunk.after_stored"),
    Kill("svc_graph", "graph.follow.after_batch"),
    Kill("cassandra"),
    Kill("svc_tweet", "tweet.delete.after_batch"),
    Kill("svc_timeline", "timeline.chunk.before_ack"),
    Kill("svc_engage", "engage.like.after_publish"),
    Kill("svc_engage", "engage.count.after_counts"),
    Kill("svc_engage", "engage.count.after_rows"),
    Kill("edge"),
    Kill("svc_user"),
)


@dataclass(frozen=True)
class Cycle:
    """What happened in one cycle; that it is written down says that every home and every author's timeline was right."""

    killed: str
    away_s: float
    """From the kill until everything was ready again."""
    accepted: int
    deleted: int
    read: int
    refused: int
    audit: Mapping[str, object]


async def cycle(world: World, kill: Kill) -> Cycle:
    """Kill under traffic, wait until all is well again, and look at everything. Raises RuntimeError for what is wrong."""
    seen = world.traffic.seen
    seen.forget()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(world.traffic.run(stop))
        await asyncio.sleep(_BEFORE_S)
        away_s = await _killed(world, kill)
        stop.set()
    audit = await world.checked()
    name = f"{kill.process} {kill.point}".rstrip()
    counts = seen.counts
    return Cycle(name, away_s, counts["accepted"], counts["deleted"], counts["read"], counts["refused"], audit)


async def _killed(world: World, kill: Kill) -> float:
    """Kill it; seconds until everything was ready again."""
    pid = world.pid(kill.process)
    if kill.point:
        armed = Path(world.environment["AVIARY_FAULT_DIR"]) / kill.point
        armed.write_text("0")
        await until(partial(_gone, armed), f"nobody passed {kill.point}")
    else:
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    await world.until_back(kill.process, pid)
    return time.monotonic() - began


async def _gone(armed: Path) -> bool:
    return not await asyncio.to_thread(armed.exists)


async def run(options: Options) -> Outcome:
    """Cycles until the time is over; at least one."""
    cycles: list[Cycle] = []
    with tempfile.TemporaryDirectory(prefix="avb") as folder:
        faults = Path(folder) / "faults"
        faults.mkdir()
        environment = own_environment(Path(folder)) | {
            "AVIARY_FAULT_DIR": str(faults),
            # So that a chunk of this handful of followers has a middle.
            "AVIARY_TIMELINE_ROWS_AT_ONCE": "2",
        }
        async with inhabited(environment) as world:
            end = time.monotonic() + (0 if options.quick else options.minutes * 60)
            while not cycles or time.monotonic() < end:
                done = await cycle(world, KILLS[len(cycles) % len(KILLS)])
                cycles.append(done)
                print(f"{done.killed}: away {done.away_s:.1f} s, {done.accepted} accepted, clean", flush=True)
    return Outcome({"cycles": [asdict(done) for done in cycles]})
