"""The rpc with which every service says how much of what it accepted is still on its way; the numbers come from others."""

from collections.abc import Sequence
from typing import Protocol

from aviary.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from grpc import aio

from runtime.bus import ConsumerState


class Written(Protocol):
    """What keeps announcements until they are published: an outbox."""

    async def backlog(self) -> tuple[int, int]:
        """How many are not yet published, and the age in milliseconds of the oldest (0 without). Raises Unavailable."""


class Handling(Protocol):
    """What handles facts and jobs: `Consumers` of the bus, or an `OrderedConsumer`."""

    async def backlog(self) -> Sequence[ConsumerState]:
        """How far behind each durable is, whichever process works on it. Raises Unavailable."""


class Backlog(mesh_pb2_grpc.MeshServiceServicer):
    """Serves aviary.mesh.v1.MeshService over the outboxes and consumers of the process."""

    def __init__(self, outboxes: Sequence[Written], consumers: Sequence[Handling]) -> None:
        self._outboxes = outboxes
        self._consumers = consumers

    async def GetBacklog(
        self, request: mesh_pb2.GetBacklogRequest, context: "aio.ServicerContext[object, object]"
    ) -> mesh_pb2.GetBacklogResponse:
        """All of it now. Outboxes are read first: what leaves one meanwhile is counted at the consumers, never nowhere."""
        written = [await outbox.backlog() for outbox in self._outboxes]
        states = [state for consumers in self._consumers for state in await consumers.backlog()]
        return mesh_pb2.GetBacklogResponse(
            outbox_rows=sum(rows for rows, _ in written),
            consumers=[mesh_pb2.ConsumerBacklog(durable=s.durable, pending=s.pending) for s in states],
            lag_ms=max([age for _, age in written] + [s.oldest_age_ms for s in states], default=0),
            dead_letters=sum(s.dead for s in states),
        )
