"""The scenario `ordered`: work in order over three nodes of NATS, each of which dies or hangs while facts are published.

After each fault every fact must have had its effect once, in the order of its partition, at the place that publishing it answered.
Nothing else runs: what it takes from the cluster to go on shows without databases and people.
"""

import asyncio
import contextlib
import os
import random
import secrets
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from aviary.tweet.v1.events_pb2 import TweetCreated
from google.protobuf.message import Message

from bench.soak.scenario import Options, Outcome
from bench.soak.world import until
from ordered import OrderedConsumer, Slice
from ordered.nats import NatsSource
from runtime.bus import NatsBus
from runtime.bus.envelope import PARTITIONS
from runtime.config import Env, MeshConfig
from runtime.errors import Unavailable
from stack import nats
from stack.local import ServerPorts
from stack.nodes import nodes
from stack.process import Child

_NODES = 3
_OWNERS = 3
_PUBLISHERS = 4
_SUBJECTS = 500
_BEFORE_S = 2.0
_DEAD_S = 2.0
_HANGS_S = 8.0
_AFTER_S = 2.0
_LONGEST_S = 20.0
_STORES_S = 0.002


@dataclass
class Ledger:
    """What a store would hold: the effect of facts, and the position that each write of them includes."""

    positions: dict[int, int] = field(default_factory=dict)
    applied: dict[int, list[tuple[int, bytes]]] = field(default_factory=lambda: defaultdict(list))
    """Place and event id, by partition, in the order of their effect."""
    late_s: float = 0.0
    """The longest from a fact's publishing to its effect, since `forget`."""
    repeated: int = 0
    """Facts that came again, or to two owners at once, and had no effect any more."""
    lost: int = 0

    def apply(self, piece: Slice) -> None:
        """The effect and the position, in one step."""
        at, now_ms = self.positions.get(piece.partition, 0), time.time_ns() // 1_000_000
        fresh = [item for item in piece.items if item.place > at]
        self.repeated += len(piece.items) - len(fresh)
        self.lost += piece.lost
        self.applied[piece.partition] += [(item.place, item.event.event_id) for item in fresh]
        self.late_s = max([self.late_s, *((now_ms - i.event.occurred_at.ToMilliseconds()) / 1000 for i in fresh)])
        self.positions[piece.partition] = max(at, piece.until)

    def count(self) -> int:
        """How many facts had their effect."""
        return sum(map(len, self.applied.values()))


class Work:
    """Ordered work of one owner, over a store that takes a moment."""

    durable = "soak"
    messages: Sequence[type[Message]] = (TweetCreated,)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def load(self, partition: int) -> int:
        """See Ordered."""
        return self._ledger.positions.get(partition, 0)

    async def positions(self) -> Mapping[int, int]:
        """See Ordered."""
        return self._ledger.positions

    async def handle(self, piece: Slice) -> None:
        """See Ordered."""
        await asyncio.sleep(_STORES_S)
        self._ledger.apply(piece)


@dataclass
class Published:
    """What was acknowledged, and how that went."""

    places: dict[bytes, int] = field(default_factory=dict)
    refused: int = 0
    longest_s: float = 0.0
    """The longest that one fact took until it was acknowledged, with all its repetitions."""

    async def run(self, bus: NatsBus, stop: asyncio.Event) -> None:
        """Publish one fact after the other; what is not acknowledged is published again under its id."""
        while not stop.is_set():
            event = TweetCreated(event_id=secrets.token_bytes(16), author_id=random.randrange(_SUBJECTS).to_bytes(16))
            event.occurred_at.GetCurrentTime()
            began = time.monotonic()
            while True:
                try:
                    (self.places[event.event_id],) = await bus.publish(event)
                    break
                except Unavailable:
                    self.refused += 1
                    await asyncio.sleep(0.1)
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Row:
    """What one fault did. That it is written down says that each fact had its effect once, and in its order."""

    fault: str
    published: int
    refused: int
    longest_publish_s: float
    longest_effect_s: float
    """From the publishing of a fact to its effect."""
    repeated: int
    settled_s: float
    """From the end of publishing until nothing was left."""


class Cluster:
    """Three nodes of NATS alone."""

    def __init__(self, home: Path) -> None:
        self._ports = ServerPorts.free(_NODES)
        programs = [
            nats.program(home, self._ports.nats, self._ports.nats_http, self._ports.nats_route, node)
            for node in nodes(_NODES)
        ]
        self.children = {program.name: Child.start(program) for program in programs}

    def config(self) -> MeshConfig:
        """What a process is told that speaks with them."""
        environment = self._ports.addresses(_NODES).environment() | {
            "AVIARY_MESH_KEY": secrets.token_hex(32),
            "AVIARY_CURSOR_KEYS": f"1:{secrets.token_hex(32)}",
            "AVIARY_SOAK_PORT": "0",
            "AVIARY_SOAK_METRICS_PORT": "0",
        }
        return MeshConfig.read("soak", Env(environment))

    async def ready(self) -> None:
        """Return when every node is."""
        for child in self.children.values():
            await asyncio.to_thread(child.wait_ready)

    async def strike(self, name: str, what: signal.Signals) -> None:
        """Kill a node and start it again, or let it hang; returns when all are ready."""
        child = self.children[name]
        if what is signal.SIGKILL:
            child.kill()
            await asyncio.sleep(_DEAD_S)
            self.children[name] = Child.start(child.program)
        else:
            os.kill(child.process.pid, what)
            await asyncio.sleep(_HANGS_S)
            os.kill(child.process.pid, signal.SIGCONT)
        await self.ready()

    def end(self) -> None:
        """Nothing is kept: they need not write it down."""
        for child in self.children.values():
            child.kill()


@contextlib.asynccontextmanager
async def owners(config: MeshConfig, ledger: Ledger) -> AsyncIterator[OrderedConsumer]:
    """As many processes as far as leases can see, each with a connection of its own; gives one of them."""
    buses = [await NatsBus.connect(config) for _ in range(_OWNERS)]
    consumers = [OrderedConsumer(bus, NatsSource(bus), Work(ledger)) for bus in buses]
    tasks = [asyncio.create_task(consumer.run()) for consumer in consumers]
    try:
        yield consumers[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for bus in buses:
            await bus.close()


async def happened(cluster: Cluster, bus: NatsBus, asked: OrderedConsumer, ledger: Ledger, fault: "Fault") -> Row:
    """Let it happen while facts are published, and look at every one. Raises RuntimeError for what is wrong."""
    published, stop, before = Published(), asyncio.Event(), ledger.count()
    ledger.late_s, ledger.repeated = 0.0, 0
    async with asyncio.TaskGroup() as group:
        for _ in range(_PUBLISHERS):
            group.create_task(published.run(bus, stop))
        await asyncio.sleep(_BEFORE_S)
        await cluster.strike(*fault)
        await asyncio.sleep(_AFTER_S)
        stop.set()
    ended = time.monotonic()

    async def nothing_left() -> bool:
        try:
            return not any(state.pending for state in await asked.backlog())
        except Unavailable:
            return False

    await until(nothing_left, f"after {fault} something stays unhandled")
    settled_s = time.monotonic() - ended
    if wrong := wrongs(published, ledger, ledger.count() - before):
        raise RuntimeError(f"after {fault[1].name} {fault[0]}: {wrong}")
    return Row(
        f"{fault[1].name} {fault[0]}",
        len(published.places),
        published.refused,
        round(published.longest_s, 2),
        round(ledger.late_s, 2),
        ledger.repeated,
        round(settled_s, 2),
    )


def wrongs(published: Published, ledger: Ledger, applied: int) -> str:
    """What is wrong with the effects of what was published; empty when nothing is."""
    places = {event_id: place for rows in ledger.applied.values() for place, event_id in rows}
    missing = published.places.keys() - places.keys()
    elsewhere = [event_id for event_id, place in published.places.items() if places.get(event_id, place) != place]
    unordered = [n for n in range(PARTITIONS) if ledger.applied[n] != sorted(set(ledger.applied[n]))]
    found = {
        "facts without effect": len(missing),
        "effects too many": applied - len(published.places) + len(missing),
        "facts at another place than publishing said": len(elsewhere),
        "partitions out of order": len(unordered),
        "partitions told that something is lost": ledger.lost,
    }
    return ", ".join(f"{what}: {count}" for what, count in found.items() if count)


Fault = tuple[str, signal.Signals]
FAULTS: tuple[Fault, ...] = tuple(
    (node.name(nats.NAME), what) for what in (signal.SIGKILL, signal.SIGSTOP) for node in nodes(_NODES)
)


async def run(options: Options) -> Outcome:
    """Every node dies once and hangs once; with `quick` one dies."""
    rows: list[Row] = []
    failures: list[str] = []
    ledger = Ledger()
    with tempfile.TemporaryDirectory(prefix="avb") as folder:
        cluster = Cluster(Path(folder))
        try:
            await cluster.ready()
            bus = await NatsBus.connect(cluster.config())
            await bus.declare([TweetCreated])
            async with owners(cluster.config(), ledger) as asked:
                for fault in FAULTS[:1] if options.quick else FAULTS:
                    row = await happened(cluster, bus, asked, ledger, fault)
                    rows.append(row)
                    print(row, flush=True)
                    if max(row.longest_publish_s, row.longest_effect_s) > _LONGEST_S:
                        failures.append(f"{row.fault}: it took longer than {_LONGEST_S:g} s")
            await bus.close()
        finally:
            cluster.end()
    return Outcome({"owners": _OWNERS, "rows": [asdict(row) for row in rows]}, failures)
