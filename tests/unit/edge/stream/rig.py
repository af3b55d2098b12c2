"""A hub without a network: wires that remember, presence in memory, a clock that is moved by hand."""

import json
from typing import Any

from cursors import Cursors
from edge.api import tweet_renderer
from edge.auth import Grant
from edge.json_codec.encode import Encoder
from edge.stream.attendance import Attendance
from edge.stream.catchup import CatchUp
from edge.stream.doorkeeper import Doorkeeper, StreamLimits
from edge.stream.hub import Hub
from edge.stream.messages import StreamCursors
from edge.stream.socket import Socket
from edge.stream.tasks import Tasks
from edge.stream.watches import Watches
from runtime.config import Secret
from runtime.errors import Unavailable
from simulation.bus import MemoryBus
from simulation.presence import MemoryPresence
from tests.unit.edge.logins import Logins
from tests.unit.views.world import T0, World, caller

EDGE = b"e" * 16


class Clock:
    """Milliseconds that pass only by hand."""

    def __init__(self) -> None:
        self.ms = T0 + 3_600_000

    def now_ms(self) -> int:
        return self.ms

    def now_us(self) -> int:
        return self.ms * 1000


class FakeWire:
    """Remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.waiting = 0
        self.probes = 0
        self.ended: tuple[int, str] | None = None

    def send(self, payload: bytes) -> None:
        self.sent.append(json.loads(payload))

    def probe(self) -> None:
        self.probes += 1

    def buffered(self) -> int:
        return self.waiting

    async def drained(self) -> None:
        return None

    def close(self, code: int, reason: str) -> None:
        self.ended = (code, reason)

    def types(self) -> list[str]:
        return [m["type"] for m in self.sent]

    def tweets(self) -> list[str]:
        return [m["data"]["tweet_id"] for m in self.sent if m["type"] == "tweet"]


class StillHorizon:
    """A horizon that is set by hand."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def cursor_ms(self) -> int:
        return self._clock.now_ms()


class FailingPresence(MemoryPresence):
    """Presence whose Redis may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    async def arrive(self, user_id: bytes, edge_id: bytes) -> None:
        self._ensure_up()
        await super().arrive(user_id, edge_id)

    async def leave(self, user_id: bytes, edge_id: bytes) -> None:
        self._ensure_up()
        await super().leave(user_id, edge_id)

    async def beat(self, edge_id: bytes) -> bool:
        self._ensure_up()
        return await super().beat(edge_id)

    def _ensure_up(self) -> None:
        if self.down:
            raise Unavailable("Redis is away")


class Rig:
    """Hub, attendance and the world behind them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.world = World(now_ms=self.clock.now_ms)
        self.tasks = Tasks()
        render = tweet_renderer(Encoder())
        self.catch_up = CatchUp(self.world.deps, render, self.clock, self.tasks)
        self.hub = Hub(self.world.deps, render, self.catch_up, self.tasks, self.clock)
        self.bus = MemoryBus()
        self.watches = Watches(self.world.deps, self.bus, self.clock)
        self.bus.on_reconnected(self.watches.uncertain)
        self.world.deps.statuses.watch(self.watches.deleted, self.watches.uncertain)
        self.world.deps.statuses.watch(self.hub.deleted, self.hub.deletions_lost)
        self.presence = FailingPresence()
        self.attendance = Attendance(self.presence, EDGE, self.clock, self.hub.missed)
        self.logins = Logins()
        self.sessions = self.logins.sessions(self.clock, self.world.clock)
        self.cursors = StreamCursors(Cursors({1: Secret(b"c" * 32)}, self.clock))

    def socket(self, viewer: bytes) -> tuple[Socket, FakeWire]:
        """An open stream."""
        wire = FakeWire()
        socket = Socket(wire, self.grant(viewer), self.cursors, StillHorizon(self.clock))
        self.hub.add(socket)
        return socket, wire

    def cursor_of(self, wire: FakeWire, viewer: bytes) -> int:
        """The time in the cursor of the last message."""
        return self.cursors.open(wire.sent[-1]["id"], viewer)

    def doorkeeper(self, heartbeat_s: int = 2) -> Doorkeeper:
        """Who lets readers in."""
        return Doorkeeper(
            self.sessions,
            self.cursors,
            StillHorizon(self.clock),
            self.hub,
            self.catch_up,
            self.tasks,
            self.attendance,
            self.watches,
            self.clock,
            StreamLimits(heartbeat_s=heartbeat_s),
        )

    def grant(self, viewer: bytes) -> Grant:
        """The right of a reader to a stream, for a quarter of an hour."""
        return Grant(caller(viewer), self.clock.ms + 900_000)
