"""The scenario `nodes`: three nodes of Cassandra and of NATS, each of which dies, hangs or is told to end while people go on.

After each fault every home and every timeline is looked at; the run ends at the first that is wrong. It also fails when anybody met nothing
but errors for more than ten seconds.
"""

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import nats
from aviary.tweet.v1 import events_pb2

from bench.soak.attempts import Attempt, Figures, figures, longest_s
from bench.soak.scenario import Options, Outcome
from bench.soak.world import World, inhabited
from bench.stage import NAMESPACE, own_environment
from runtime.bus.envelope import stream_name
from runtime.contract import event
from stack import cassandra
from stack.nats import NAME as NATS
from stack.nodes import nodes

_NODES = 3
_BEFORE_S = 2.0
_HANGS_S = 15.0
_AFTER_S = 3.0
_LONGEST_S = 10.0
# What two cores bear with three databases on them: about 12 posts and 18 homes a second.
_PAUSE_S = 0.3
LEADER = "leader"
"""Stands for the node of NATS that leads the stream of tweets at that moment."""


@dataclass(frozen=True)
class Fault:
    """What happens to one node. A node that hangs goes on after 15 s; one that ends is started again by the supervisor."""

    server: str
    node: str
    what: signal.Signals


def _all(server: str, what: signal.Signals) -> list[Fault]:
    return [Fault(server, node.name(server), what) for node in nodes(_NODES)]


FAULTS = (
    *_all(cassandra.NAME, signal.SIGKILL),
    *_all(cassandra.NAME, signal.SIGSTOP),
    Fault(NATS, LEADER, signal.SIGKILL),
    *_all(NATS, signal.SIGKILL),
    Fault(NATS, LEADER, signal.SIGSTOP),
    *_all(NATS, signal.SIGSTOP),
    Fault(NATS, LEADER, signal.SIGTERM),
    Fault(cassandra.NAME, "cassandra-1", signal.SIGTERM),
)
QUICK = (FAULTS[0], Fault(NATS, LEADER, signal.SIGKILL))


@dataclass(frozen=True)
class Event:
    """What people met from a fault until all was well. That it is written down says that nothing was lost or doubled."""

    fault: str
    away_s: float
    """From the fault until the node and the edge were ready again; of one that hung, from its going on."""
    longest_s: float
    """The longest that anybody met nothing but errors."""
    last_error_s: float
    """From the fault to the end of the last request that failed; 0 without any."""
    settled_s: float
    """From the end of the traffic until all was delivered and found right."""
    figures: Mapping[str, Figures]
    errors: Sequence[str]
    """Each request that failed: when it began after the fault, how long it took, what was asked, what came."""
    audit: Mapping[str, object]


async def happened(world: World, fault: Fault) -> Event:
    """Let it happen under traffic, and look at everything. Raises RuntimeError for what is wrong."""
    seen = world.traffic.seen
    seen.forget()
    stop = asyncio.Event()
    node = await _leader(world) if fault.node == LEADER else fault.node
    async with asyncio.TaskGroup() as group:
        group.create_task(world.traffic.run(stop))
        await asyncio.sleep(_BEFORE_S)
        began = time.monotonic()
        away_s = await _strike(world, node, fault.what)
        await asyncio.sleep(_AFTER_S)
        stop.set()
    ended = time.monotonic()
    attempts = [attempt for attempt in seen.attempts if attempt.ended >= began]
    audit = await world.checked()
    failed = sorted((attempt for attempt in attempts if attempt.error), key=lambda attempt: attempt.begun)
    of_kinds = figures(attempts)
    return Event(
        fault=f"{fault.what.name} {node}" + (" (leader)" if fault.node == LEADER else ""),
        away_s=round(away_s, 1),
        longest_s=longest_s(of_kinds),
        last_error_s=round(max((attempt.ended - began for attempt in failed), default=0.0), 2),
        settled_s=round(time.monotonic() - ended, 1),
        figures=of_kinds,
        errors=[_line(attempt, began) for attempt in failed],
        audit=audit,
    )


def _line(attempt: Attempt, began: float) -> str:
    return f"{attempt.begun - began:.2f} s +{attempt.ended - attempt.begun:.2f} {attempt.kind} {attempt.error}"


async def _strike(world: World, node: str, what: signal.Signals) -> float:
    """Send the signal; seconds until the node is ready again, or, when it hung, until it was after going on."""
    pid = world.pid(node)
    began = time.monotonic()
    os.kill(pid, what)
    if what is signal.SIGSTOP:
        await asyncio.sleep(_HANGS_S)
        began = time.monotonic()
        # A supervisor that has lost its patience has killed it by now.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        await world.until_ready()
    else:
        await world.until_back(node, pid)
    return time.monotonic() - began


async def _leader(world: World) -> str:
    """The node that leads the stream of tweets."""
    client = await nats.connect(world.stack.addresses["AVIARY_NATS_URL"].split(","))
    try:
        stream = f"{NAMESPACE}_{stream_name(event(events_pb2.TweetCreated))}"
        cluster = (await client.jetstream().stream_info(stream)).cluster
        if cluster is None or not cluster.leader:
            raise RuntimeError(f"{stream} has no leader")
        return f"{NATS}-{cluster.leader.rpartition('-')[2]}"
    finally:
        await client.close()


async def run(options: Options) -> Outcome:
    """Every fault once; with `quick` one of each server."""
    events: list[Event] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="avb") as folder:
        environment = own_environment(Path(folder)) | {
            "AVIARY_STACK_NODES": str(_NODES),
            # A JVM that was just started would spend the two cores on compiling.
            "AVIARY_CASSANDRA_QUICK_COMPILER": "1",
        }
        async with inhabited(environment, _PAUSE_S) as world:
            for fault in QUICK if options.quick else FAULTS:
                done = await happened(world, fault)
                events.append(done)
                told = (
                    f"{done.fault}: {len(done.errors)} errors, for {done.longest_s:.1f} s at most, the last after"
                    f" {done.last_error_s:.1f} s; back after {done.away_s:.1f} s, all delivered {done.settled_s:.1f} s after the traffic"
                )
                print(told, flush=True)
                if done.longest_s > _LONGEST_S:
                    failures.append(told)
    return Outcome({"events": [asdict(done) for done in events]}, failures)
