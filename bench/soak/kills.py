"""The scenario `kills`: one process after the other is killed under traffic, and every home is audited after each.

What was killed, how long it was away and what was promised meanwhile is its result; the run ends at the first wrong home.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import httpx

from bench import people
from bench.people import Silent
from bench.soak.scenario import Options, Outcome
from bench.soak.traffic import Traffic
from bench.stage import own_environment, settled, started
from ops import running
from ops.mesh import Mesh
from ops.running import Running
from ops.seed.importer import import_follows
from stack.ports import HOST

_DAY_S = 24 * 3600
_AUTHORS = 4
_READERS = 6
_BEFORE_S = 1.0
_PATIENCE_S = 120.0
_POLL_S = 0.1


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


class Soak:
    """A run on one stack."""

    def __init__(self, environment: Mapping[str, str], traffic: Traffic, mesh: Mesh, client: httpx.AsyncClient) -> None:
        self._environment = environment
        self._home = Path(environment["AVIARY_HOME"])
        self._traffic = traffic
        self._mesh = mesh
        self._client = client

    async def cycle(self, kill: Kill) -> Cycle:
        """Kill under traffic, wait until all is well again, and look at everything. Raises RuntimeError for what is wrong."""
        self._traffic.seen.counts.clear()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._traffic.run(stop))
            await asyncio.sleep(_BEFORE_S)
            away_s = await self._killed(kill)
            stop.set()
        await settled(self._mesh)
        audit = await self._audited()
        await self._check_authors()
        counts = self._traffic.seen.counts
        name = f"{kill.process} {kill.point}".rstrip()
        return Cycle(name, away_s, counts["accepted"], counts["deleted"], counts["read"], counts["refused"], audit)

    async def _killed(self, kill: Kill) -> float:
        pid = self._stack.process(kill.process).pid
        assert pid is not None
        if kill.point:
            armed = Path(self._environment["AVIARY_FAULT_DIR"]) / kill.point
            armed.write_text("0")
            await _until(partial(_gone, armed), f"nobody passed {kill.point}")
        else:
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        await _until(partial(self._again, kill.process, pid), f"{kill.process} did not come back")
        await _until(self._ready, "the edge did not become ready")
        return time.monotonic() - began

    @property
    def _stack(self) -> Running:
        return running.load(self._home)

    async def _again(self, name: str, old_pid: int) -> bool:
        record = self._stack.process(name)
        return record.pid != old_pid and record.state == "ready"

    async def _ready(self) -> bool:
        try:
            return (await self._client.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def _audited(self) -> Mapping[str, object]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops.cli", "audit", "--json"), env=self._environment, stdout=asyncio.subprocess.PIPE
        )
        text, _ = await process.communicate()
        report: dict[str, object] = json.loads(text)
        if process.returncode:
            raise RuntimeError(f"the audit found: {report}")
        return report

    async def _check_authors(self) -> None:
        for author in self._traffic.authors:
            listed, accepted = await self._traffic.listed(author), self._traffic.seen.tweets[author.user_id]
            if sorted(listed) != sorted(accepted):
                raise RuntimeError(f"an author's timeline and what was accepted differ by {accepted ^ set(listed)}")


async def _gone(armed: Path) -> bool:
    return not await asyncio.to_thread(armed.exists)


async def _until(condition: Callable[[], Awaitable[bool]], failure: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not await condition():
        if time.monotonic() > end:
            raise RuntimeError(failure)
        await asyncio.sleep(_POLL_S)


async def run(options: Options) -> Outcome:
    """Cycles until the time is over; at least one."""
    cycles: list[Cycle] = []
    with tempfile.TemporaryDirectory(prefix="avb") as folder:
        faults = Path(folder) / "faults"
        faults.mkdir()
        environment = own_environment(Path(folder)) | {
            "AVIARY_FAULT_DIR": str(faults),
            "AVIARY_USER_ACCESS_TOKEN_S": str(_DAY_S),
            # So that a chunk of this handful of followers has a middle.
            "AVIARY_TIMELINE_ROWS_AT_ONCE": "2",
        }
        async with started(environment) as (stack, _):
            base_url = f"http://{HOST}:{stack.addresses['AVIARY_HTTP_PORT']}"
            async with (
                Mesh(stack.environment(), "soak") as mesh,
                httpx.AsyncClient(base_url=base_url, timeout=30) as client,
            ):
                authors = await people.register(client, _AUTHORS)
                readers = await people.register(client, _READERS)
                pairs = [(reader.user_id, author.user_id) for reader in readers for author in authors]
                await import_follows(mesh, pairs, Silent())
                soak = Soak(environment, Traffic(client, authors, readers), mesh, client)
                end = time.monotonic() + (0 if options.quick else options.minutes * 60)
                while not cycles or time.monotonic() < end:
                    cycle = await soak.cycle(KILLS[len(cycles) % len(KILLS)])
                    cycles.append(cycle)
                    print(f"{cycle.killed}: away {cycle.away_s:.1f} s, {cycle.accepted} accepted, clean", flush=True)
    return Outcome({"cycles": [asdict(cycle) for cycle in cycles]})
