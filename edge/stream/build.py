"""Constructor calls that give the stream from ports; used by edge/server.py and by tests."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aviary.mesh.v1.mesh_pb2_grpc import MeshServiceAsyncStub
from aviary.timeline.v1 import events_pb2
from aviary.view.v1 import view_pb2

from cursors import Cursors
from edge.sessions import Sessions
from edge.stream.attendance import Attendance
from edge.stream.catchup import CatchUp
from edge.stream.doorkeeper import Doorkeeper, StreamLimits
from edge.stream.horizon import BacklogHorizon
from edge.stream.hub import Hub
from edge.stream.messages import StreamCursors
from edge.stream.tasks import Tasks
from edge.stream.watches import Watches
from edge.stream.websocket import upgrades
from readers.presence import Attendees
from runtime.bus import Bus, Stop
from runtime.bus.consumers import until_told
from runtime.ids import Clock
from statuses import Statuses
from views.deps import Deps


@dataclass(frozen=True, slots=True)
class Stream:
    """The stream of one edge process. `upgrades` is uvicorn's `ws`; `listen` comes first, then `run` in the background."""

    upgrades: Callable[..., Any]
    hub: Hub
    tasks: Tasks
    statuses: Statuses
    doorkeeper: Doorkeeper
    attendance: Attendance
    horizon: BacklogHorizon
    watches: Watches
    sessions: Sessions
    bus: Bus
    edge_id: bytes

    async def listen(self) -> Stop:
        """Hear what is for this edge: one subscription, however many sockets; and one for each partition of watched tweets.

        Await the result to stop.
        """
        for tell in (self.hub.link_restored, self.watches.uncertain):
            self.bus.on_reconnected(tell)
        # Watchers first: what the hub tells them, too, is no news then.
        unwatch = [
            self.statuses.watch(self.watches.deleted, self.watches.uncertain),
            self.statuses.watch(self.hub.deleted, self.hub.deletions_lost),
            self.sessions.watch(self.doorkeeper.refused),
        ]
        stop = await self.bus.listen(events_pb2.HomeSignal, self.hub.heard, receiver=self.edge_id)
        # Before the first reader comes: the edge must be known to live, or nobody signals to it; and how far fan-out is.
        await self.attendance.beat()
        await self.horizon.ask()

        async def close() -> None:
            await stop()
            for each in unwatch:
                each()
            await self.tasks.close()

        return close

    async def run(self) -> None:
        """Keep presence, heartbeats, the horizon and what is watched, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in (self.attendance, self.doorkeeper, self.horizon, self.watches):
                group.create_task(until_told(type(part).__name__, part.run))


def build_stream(
    *,
    views: Deps,
    render: Callable[[view_pb2.Tweet], bytes],
    attendees: Attendees,
    sessions: Sessions,
    cursors: Cursors,
    backlogs: Mapping[str, MeshServiceAsyncStub],
    bus: Bus,
    edge_id: bytes,
    clock: Clock,
    limits: StreamLimits,
) -> Stream:
    """The stream over the view plane of the same process.

    `render` gives a tweet's JSON, as REST shows it; `backlogs` are the services through which a tweet reaches a home.
    """
    tasks, horizon = Tasks(), BacklogHorizon(backlogs, clock)
    catch_up = CatchUp(views, render, clock, tasks)
    hub = Hub(views, render, catch_up, tasks, clock)
    attendance = Attendance(attendees, edge_id, clock, hub.missed)
    watches = Watches(views, bus, clock)
    doorkeeper = Doorkeeper(
        sessions, StreamCursors(cursors), horizon, hub, catch_up, tasks, attendance, watches, clock, limits
    )
    return Stream(
        upgrades(doorkeeper),
        hub,
        tasks,
        views.statuses,
        doorkeeper,
        attendance,
        horizon,
        watches,
        sessions,
        bus,
        edge_id,
    )
