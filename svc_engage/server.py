"""Builds a process of svc_engage, in order; nothing else constructs adapters."""

import time

from aviary.engage.v1.engage_pb2_grpc import add_EngageServiceServicer_to_server
from aviary.engage.v1.events_pb2 import LikeSet
from aviary.graph.v1 import graph_pb2
from aviary.graph.v1.events_pb2 import FollowerSet, FollowSet
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub
from aviary.mesh.v1.mesh_pb2_grpc import add_MeshServiceServicer_to_server
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted, TweetStatusSignal
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceStub
from grpc import aio

import accounts
from accounts import Accounts
from backlog import Backlog
from coalesced import MeshProcess, main
from cql_client import Cql
from cursors import Cursors
from ordered.nats import NatsSource
from redis_client.line import Line
from relations.viewers import Relations, listen
from runtime.bus import NatsBus
from runtime.config import MeshConfig
from runtime.ids import Uuid7Ids
from statuses import Statuses
from svc_engage.cache.redis import RedisCountCache
from svc_engage.config import Config
from svc_engage.counting.known import KnownRows
from svc_engage.counting.recount import Recounts
from svc_engage.counting.truth import MeshTruth
from svc_engage.deps import Deps
from svc_engage.interactions import Engagements
from svc_engage.known_tweets import KnownTweets
from svc_engage.ledger import CqlLedger
from svc_engage.like_rows import LikeRows
from svc_engage.marks import MarkBuilds
from svc_engage.reads import Reads
from svc_engage.servicer import EngageServicer
from svc_engage.store_cql import SCHEMA, CqlEngageStore
from svc_engage.workers import Counting


async def build(process: MeshProcess, config: Config) -> None:
    """Wire the process. Waits for the database and the bus; Redis and svc_tweet may come later."""
    mesh, clock = config.mesh, process.clock
    cql = await Cql.connect(mesh, SCHEMA)
    process.on_close(cql.close)
    process.check("cql", cql.ping)
    bus = await NatsBus.connect(mesh)
    process.on_close(bus.close)
    process.check("nats", bus.check)
    await bus.declare([LikeSet, FollowSet, FollowerSet, TweetCreated, TweetDeleted])
    tweets = process.open_channel(config.tweet_address, tweet_pb2.DESCRIPTOR)
    process.on_close(tweets.close)
    graph = process.open_channel(config.graph_address, graph_pb2.DESCRIPTOR)
    process.on_close(graph.close)

    cache = open_cache(process, mesh)
    store, ids, known = CqlEngageStore(cql, clock), Uuid7Ids(clock), KnownRows()
    builds = MarkBuilds(store, cache, clock, ids)
    process.on_close(builds.close)
    rows = LikeRows(store, cache, cache, known, process.faults)
    process.on_close(rows.close)
    deps = Deps(
        store=store,
        cache=cache,
        reads=Reads(store, cache, builds, rows),
        rows=rows,
        engagements=Engagements(store, cache, clock, ids),
        bus=bus,
        tweets=KnownTweets(TweetServiceStub(tweets), await hear_of_deletions(process, bus), config.known_tweets),
        relations=await hear_of_relations(process, bus, graph),
        accounts=await hear_of_accounts(process, bus, config),
        recent=cache,
        cursors=Cursors(config.cursor_keys, clock),
        clock=clock,
        ids=ids,
        faults=process.faults,
    )
    source = NatsSource(bus)
    counting = Counting(store, cache, bus, source, clock, levels=config.levels, faults=process.faults, known=known)
    process.background("counting", counting.run)
    process.check("counting", counting.check)
    truth = MeshTruth(GraphServiceStub(graph), TweetServiceStub(tweets))
    recounts = Recounts(
        counting.machines, store, CqlLedger(cql), truth, counting.teller, clock, counting.lag_ms, levels=config.levels
    )
    process.background("recounts", recounts.run)
    process.serve(add_EngageServiceServicer_to_server, EngageServicer(deps))
    process.serve(add_MeshServiceServicer_to_server, Backlog([], counting.consumers))


def open_cache(process: MeshProcess, mesh: MeshConfig) -> RedisCountCache:
    """What is remembered in Redis, on a connection of its own."""
    line = Line(mesh.redis_url)
    process.on_close(line.aclose)
    cache = RedisCountCache(line, mesh.namespace)
    process.on_close(cache.close)
    return cache


async def hear_of_relations(process: MeshProcess, bus: NatsBus, graph: aio.Channel) -> Relations:
    """How users stand to authors, as svc_graph says from now on."""
    relations = Relations(GraphServiceStub(graph), process.clock, time.monotonic)
    process.on_close(await listen(relations, bus))
    return relations


async def hear_of_accounts(process: MeshProcess, bus: NatsBus, config: Config) -> Accounts:
    """Which authors are there, as svc_user says from now on."""
    user = process.open_channel(config.user_address, user_pb2.DESCRIPTOR)
    process.on_close(user.close)
    known = Accounts(UserServiceStub(user), time.monotonic, config.known_accounts, profiles=False)
    process.on_close(await accounts.listen(known, bus))
    return known


async def hear_of_deletions(process: MeshProcess, bus: NatsBus) -> Statuses:
    """What svc_tweet says of deletions, from now on."""
    statuses = Statuses(time.monotonic)
    process.on_close(await bus.listen(TweetStatusSignal, statuses.heard))
    process.on_close(await bus.listen(TweetDeleted, statuses.announced))
    return statuses


if __name__ == "__main__":
    main(Config.from_env, build)
