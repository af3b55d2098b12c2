"""Builds the edge process: channels to the data services, the view plane inside, the public port; `python -m edge.server`."""

import time
from collections.abc import Mapping
from functools import partial

from aviary.engage.v1 import engage_pb2
from aviary.graph.v1 import graph_pb2
from aviary.mesh.v1.mesh_pb2_grpc import MeshServiceAsyncStub, MeshServiceStub, add_MeshServiceServicer_to_server
from aviary.timeline.v1 import timeline_pb2
from aviary.tweet.v1 import tweet_pb2
from aviary.user.v1 import apps_pb2, user_pb2
from aviary.user.v1.apps_pb2_grpc import AppServiceStub
from aviary.user.v1.events_pb2 import AccountSignal
from aviary.user.v1.user_pb2_grpc import UserServiceStub
from aviary.view.v1 import view_pb2
from aviary.view.v1.view_pb2_grpc import add_ViewServiceServicer_to_server
from google.protobuf.descriptor import FileDescriptor
from grpc import aio

from backlog import Backlog
from coalesced import MeshProcess, main
from cursors import Cursors
from edge.accounts import finisher
from edge.api import build_app, endpoints_of, public_encoder, tweet_renderer
from edge.auth import TokenVerifier
from edge.config import EdgeConfig
from edge.http_server import HttpServer
from edge.json_codec.encode import Encoder
from edge.login_line import LoginLine
from edge.oauth.build import oauth_pages
from edge.sessions import Sessions
from edge.stream.build import Stream, build_stream
from edge.stream.doorkeeper import StreamLimits
from in_process import InProcessChannel
from readers.presence import Presence
from redis_client import Redis, connect_redis
from runtime.bus import Bus, NatsBus
from runtime.ids import Uuid7Ids
from runtime.service import check_peer
from views.build import Channels, build_deps, listen
from views.deps import Deps
from views.servicer import ViewServicer


async def build(process: MeshProcess, config: EdgeConfig) -> None:
    """Construct everything, in the order in which it is needed."""
    bus = await NatsBus.connect(config.mesh)
    process.on_close(bus.close)
    redis = connect_redis(config.mesh)
    process.on_close(redis.aclose)

    user = process.open_channel(config.user_address, user_pb2.DESCRIPTOR, apps_pb2.DESCRIPTOR)
    graph = process.open_channel(config.graph_address, graph_pb2.DESCRIPTOR)
    tweet = process.open_channel(config.tweet_address, tweet_pb2.DESCRIPTOR)
    timeline = process.open_channel(config.timeline_address, timeline_pb2.DESCRIPTOR)
    engage = process.open_channel(config.engage_address, engage_pb2.DESCRIPTOR)

    channels = Channels(timeline=timeline, tweet=tweet, user=user, graph=graph, engage=engage)
    deps = build_deps(channels, time.monotonic, process.clock)
    process.on_close(await listen(deps, bus))
    servicer = ViewServicer(deps)
    view = InProcessChannel(process.guard)
    view.register(add_ViewServiceServicer_to_server, servicer)
    process.serve(add_ViewServiceServicer_to_server, servicer)
    process.serve(add_MeshServiceServicer_to_server, Backlog([], []))

    verifier = TokenVerifier(config.token_keys, process.clock)
    sessions = Sessions(verifier, UserServiceStub(user), time.monotonic)
    process.on_close(await bus.listen(AccountSignal, sessions.heard))
    process.background("sessions", sessions.run)
    encoder = public_encoder()
    finish, line = partial(finisher, deps=deps), LoginLine(time.monotonic)
    app = build_app(
        endpoints_of(public_contracts(channels, view), sessions, encoder, finish, line.of),
        process.ops,
        oauth_pages(config.public_url, AppServiceStub(user), verifier, config.token_keys),
        cors_origins=config.cors_origins,
        max_in_flight=config.max_in_flight,
        public_metrics=config.public_metrics,
        trusted_proxies=config.trusted_proxies,
    )
    backlogs = {"svc_tweet": MeshServiceStub(tweet), "svc_timeline": MeshServiceStub(timeline)}
    stream = await start_stream(process, config, deps, encoder, sessions, backlogs, bus, redis)
    http = HttpServer(app, config.http_host, config.http_port, stream.upgrades)
    process.background("http", http.run)

    process.check("nats", bus.check)
    process.check("redis", partial(reach, redis))
    peers = {"svc_user": user, "svc_graph": graph, "svc_tweet": tweet, "svc_timeline": timeline, "svc_engage": engage}
    for name, channel in peers.items():
        process.check(name, partial(check_peer, channel))
        process.on_close(channel.close)


def public_contracts(channels: Channels, view: aio.Channel) -> list[tuple[FileDescriptor, aio.Channel]]:
    """The contracts whose routes are public, each with the channel over which they are called."""
    return [
        (user_pb2.DESCRIPTOR, channels.user),
        (apps_pb2.DESCRIPTOR, channels.user),
        (graph_pb2.DESCRIPTOR, channels.graph),
        (tweet_pb2.DESCRIPTOR, channels.tweet),
        (engage_pb2.DESCRIPTOR, channels.engage),
        (view_pb2.DESCRIPTOR, view),
    ]


async def start_stream(
    process: MeshProcess,
    config: EdgeConfig,
    views: Deps,
    encoder: Encoder,
    sessions: Sessions,
    backlogs: Mapping[str, MeshServiceAsyncStub],
    bus: Bus,
    redis: Redis,
) -> Stream:
    """The stream, hearing the mesh; it takes connections once the public port has it."""
    clock = process.clock
    stream = build_stream(
        views=views,
        render=tweet_renderer(encoder),
        attendees=Presence(redis, config.mesh.namespace, clock),
        sessions=sessions,
        cursors=Cursors(dict(config.cursor_keys), clock),
        backlogs=backlogs,
        bus=bus,
        edge_id=Uuid7Ids(clock).next().bytes,
        clock=clock,
        limits=StreamLimits(heartbeat_s=config.heartbeat_s),
    )
    process.on_close(await stream.listen())
    process.background("stream", stream.run)
    return stream


async def reach(redis: Redis) -> None:
    """Probe for readiness: Redis answers."""
    await redis.ping()


if __name__ == "__main__":
    main(EdgeConfig.from_env, build)
