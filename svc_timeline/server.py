"""Builds svc_timeline, in order, and runs it: `python -m svc_timeline.server`. The only module that constructs adapters."""

from pathlib import Path

from aviary.graph.v1 import graph_pb2
from aviary.graph.v1.events_pb2 import FollowSet
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub
from aviary.mesh.v1.mesh_pb2_grpc import add_MeshServiceServicer_to_server
from aviary.timeline.v1.events_pb2 import FanoutChunk, ReaderSeen
from aviary.timeline.v1.timeline_pb2_grpc import add_TimelineServiceServicer_to_server
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.events_pb2 import TweetCreated
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub

from backlog import Backlog
from coalesced import MeshProcess, main
from cql_client import Cql
from outbox import CqlOutbox, CqlOutboxTable, Outbox
from readers.presence import Presence
from readers.recent import RecentWrites
from redis_client import Redis, connect_redis
from redis_client.line import Line
from runtime.bus import Consumers, NatsBus
from runtime.ids import Uuid7Ids
from svc_timeline.cache import HomeCache
from svc_timeline.config import Config
from svc_timeline.deps import Deps
from svc_timeline.heads import Heads
from svc_timeline.rebuild import Rebuilds
from svc_timeline.seen import SeenReaders
from svc_timeline.servicer import TimelineServicer
from svc_timeline.signals import LiveSignals
from svc_timeline.states import CqlHomeStates
from svc_timeline.store import CqlHomeStore
from svc_timeline.windows import RedisWindows
from svc_timeline.workers import backfill_follow, deliver_chunk, plan_fanout

SCHEMA = Path(__file__).parent / "schema"
REDIS_SILENCE_S = 1.0
"""So long a home waits for its window: without it the store and svc_tweet have to answer."""


async def build(process: MeshProcess, config: Config) -> None:
    """Wire the service. Waits for the database and the bus; a cache that is away is gone without."""
    mesh, clock, limits = config.mesh, process.clock, config.limits
    # Readiness does not want Redis: homes are read without it. Its loss shows in aviary_timeline_reads_total{outcome="no_cache"}.
    cql = await Cql.connect(mesh, SCHEMA)
    process.on_close(cql.close)
    process.check("cql", cql.ping)
    bus = await NatsBus.connect(mesh)
    process.on_close(bus.close)
    process.check("nats", bus.check)
    await bus.declare([TweetCreated, FollowSet, FanoutChunk, ReaderSeen])
    redis = connect_redis(mesh)
    process.on_close(redis.aclose)
    graph = process.open_channel(config.graph_address, graph_pb2.DESCRIPTOR)
    process.on_close(graph.close)
    tweets = process.open_channel(config.tweet_address, tweet_pb2.DESCRIPTOR)
    process.on_close(tweets.close)

    ids, tweet = Uuid7Ids(clock), TweetServiceStub(tweets)
    store = CqlHomeStore(cql, clock, limits.stored_ttl_s)
    windows = _windows(redis, config, process)
    # After a loss of Redis beside a restart of ours nothing may be said: what users did in the last minute is forgotten.
    if await store.is_empty():
        await windows.start()
    rebuilds = Rebuilds(windows, store, tweet, limits=limits, clock=clock, ids=ids, faults=process.faults)
    process.on_close(rebuilds.close)
    outbox = Outbox(CqlOutboxTable(cql, clock), bus, clock, process.faults, mesh.outbox_relay_ages_s)

    deps = Deps(
        store=store,
        windows=windows,
        cache=HomeCache(windows, limits.window),
        rebuilds=rebuilds,
        graph=GraphServiceStub(graph),
        tweet=tweet,
        heads=Heads(tweet, limits.backfill),
        bus=bus,
        presence=Presence(redis, mesh.namespace, clock),
        seen=_seen(cql, outbox, process),
        live=LiveSignals(bus, ids.next().bytes),
        limits=limits,
        clock=clock,
        faults=process.faults,
    )
    consumers = Consumers(bus, [plan_fanout, deliver_chunk, backfill_follow], deps)
    process.serve(add_TimelineServiceServicer_to_server, TimelineServicer(deps))
    process.serve(add_MeshServiceServicer_to_server, Backlog([outbox], [consumers]))
    process.background("relay", outbox.relay)
    process.background("consumers", consumers.run)
    process.check("consumers", consumers.check)


def _windows(redis: Redis, config: Config, process: MeshProcess) -> RedisWindows:
    line = Line(config.mesh.redis_url, REDIS_SILENCE_S)
    process.on_close(line.aclose)
    return RedisWindows(line, config.mesh.namespace, RecentWrites(redis, config.mesh.namespace), config.limits)


def _seen(cql: Cql, outbox: CqlOutbox, process: MeshProcess) -> SeenReaders:
    seen = SeenReaders(CqlHomeStates(cql, outbox, process.clock), outbox, process.clock, process.faults)
    process.on_close(seen.settle)
    return seen


if __name__ == "__main__":
    main(Config.from_env, build)
