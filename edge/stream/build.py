"""Constructor calls that give the stream from ports; used by edge/server.py and by tests."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from aviary.mesh.v1.mesh_pb2_grpc import MeshServiceAsyncStub
from aviary.timeline.v1 import events_pb2
from aviary.view.v1 import view_pb2

from edge.auth import TokenVerifier
from edge.json_codec.encode import Encoder
from edge.stream.attendance import Attendance
from edge.stream.doorkeeper import Doorkeeper, StreamLimits
from edge.stream.horizon import BacklogHorizon
from edge.stream.hub import Hub
from edge.stream.messages import StreamCursors, tweet_json
from edge.stream.websocket import upgrades
from readers.presence import Attendees
from runtime.bus import Bus, Stop
from runtime.cursors import Cursors
from runtime.ids import Clock
from views.deps import Deps

_TWEETS_KEPT = 2_000


@dataclass(frozen=True, slots=True)
class Stream:
    """The stream of one edge process. `upgrades` is uvicorn's `ws`; `listen` comes first, then `run` in the background."""

    upgrades: Callable[..., Any]
    hub: Hub
    doorkeeper: Doorkeeper
    attendance: Attendance
    horizon: BacklogHorizon
    edge_id: bytes

    async def listen(self, bus: Bus) -> Stop:
        """Hear what is for this edge: one subscription, however many sockets. Await the result to stop."""
        bus.on_reconnected(self.hub.link_restored)
        stop = await bus.listen(events_pb2.HomeSignal, self.hub.heard, receiver=self.edge_id)
        # Before the first reader comes: the edge must be known to live, or nobody signals to it; and how far fan-out is.
        await self.attendance.beat()
        await self.horizon.ask()

        async def close() -> None:
            await stop()
            await self.hub.close()

        return close

    async def run(self) -> None:
        """Keep presence, heartbeats and the horizon, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.attendance.run())
            group.create_task(self.doorkeeper.run())
            group.create_task(self.horizon.run())


def build_stream(
    *,
    views: Deps,
    attendees: Attendees,
    tokens: TokenVerifier,
    cursors: Cursors,
    backlogs: Mapping[str, MeshServiceAsyncStub],
    edge_id: bytes,
    clock: Clock,
    limits: StreamLimits,
) -> Stream:
    """The stream over the view plane of the same process. `backlogs`: the services through which a tweet reaches a home."""
    encode = Encoder({view_pb2.Tweet.DESCRIPTOR.full_name: _TWEETS_KEPT}).of(view_pb2.Tweet.DESCRIPTOR)
    horizon = BacklogHorizon(backlogs, clock)
    hub = Hub(views, partial(tweet_json, encode), clock)
    attendance = Attendance(attendees, edge_id, clock, hub.missed)
    doorkeeper = Doorkeeper(tokens, StreamCursors(cursors), horizon, hub, attendance, clock, limits)
    return Stream(upgrades(doorkeeper), hub, doorkeeper, attendance, horizon, edge_id)
