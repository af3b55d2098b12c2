"""Calls into a running stack as a service of the mesh, through the contracts alone; used by seed, audit and admin."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from aviary.engage.v1 import engage_pb2, engage_pb2_grpc
from aviary.graph.v1 import graph_pb2, graph_pb2_grpc
from aviary.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from aviary.timeline.v1 import timeline_pb2, timeline_pb2_grpc
from aviary.tweet.v1 import tweet_pb2, tweet_pb2_grpc
from aviary.user.v1 import user_pb2, user_pb2_grpc
from aviary.view.v1 import view_pb2, view_pb2_grpc
from grpc import aio

from ops.patience import Patience, Patient
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import ConfigError, Env, Secret, TlsConfig
from runtime.context import ALL_SCOPES, Caller
from runtime.ids import SystemClock
from runtime.tls import Tls
from stack.errors import StackError


class Mesh:
    """Stubs of every service of a stack. Whatever is called says that `service` calls; use as an async context manager.

    Calls are repeated for `patience_s` while a service is slow or away: only who calls what may be repeated asks for that.
    What fails at last raises CallFailed.
    """

    def __init__(self, environment: Mapping[str, str], service: str, patience_s: float = 0) -> None:
        self.service = service
        areas = ("user", "graph", "tweet", "timeline", "engage", "view")
        self._channels = {area: open_to(environment, area, service) for area in areas}
        patience = Patience(patience_s)
        # All that stubs need of a channel.
        patient: dict[str, Any] = {area: Patient(channel, patience) for area, channel in self._channels.items()}
        self.users = user_pb2_grpc.UserServiceStub(patient["user"])
        self.graph = graph_pb2_grpc.GraphServiceStub(patient["graph"])
        self.tweets = tweet_pb2_grpc.TweetServiceStub(patient["tweet"])
        self.timelines = timeline_pb2_grpc.TimelineServiceStub(patient["timeline"])
        self.views = view_pb2_grpc.ViewServiceStub(patient["view"])
        self.engagement = engage_pb2_grpc.EngageServiceStub(patient["engage"])
        owners = ("user", "graph", "tweet", "timeline", "engage")
        self.backlogs = {area: mesh_pb2_grpc.MeshServiceStub(patient[area]) for area in owners}

    def acting_for(self, user_id: bytes) -> Caller:
        """The caller of work that this service does on behalf of a user."""
        return Caller(user_id=user_id, scopes=ALL_SCOPES, service=self.service)

    async def __aenter__(self) -> "Mesh":
        """The mesh itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            await channel.close()


def open_to(environment: Mapping[str, str], area: str, service: str) -> aio.Channel:
    """A channel to an area, by which `service` calls. Raises StackError when the stack wants a certificate that is not there."""
    signer = CallerSigner(Secret(bytes.fromhex(environment["AVIARY_MESH_KEY"])), service, SystemClock())
    tls = _certificate(environment, service)
    return open_channel(
        environment[f"AVIARY_{area.upper()}_ADDRESS"], signer, _CONTRACTS[area], mesh_pb2.DESCRIPTOR, tls=tls
    )


def _certificate(environment: Mapping[str, str], service: str) -> Tls | None:
    """Proves to a stack under TLS that `service` calls. Raises StackError when it does not."""
    try:
        env = Env(environment)
        config = TlsConfig.read(env)
        env.done()
        return Tls(config, service) if config else None
    except ConfigError as error:
        raise StackError(f"the stack demands a certificate: {error}") from None


_CONTRACTS = {
    "user": user_pb2.DESCRIPTOR,
    "graph": graph_pb2.DESCRIPTOR,
    "tweet": tweet_pb2.DESCRIPTOR,
    "timeline": timeline_pb2.DESCRIPTOR,
    "engage": engage_pb2.DESCRIPTOR,
    "view": view_pb2.DESCRIPTOR,
}
