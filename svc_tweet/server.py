"""Builds a process of svc_tweet from its configuration; the only place that constructs adapters."""

from aviary.mesh.v1.mesh_pb2_grpc import add_MeshServiceServicer_to_server
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted, TweetStatusSignal
from aviary.tweet.v1.tweet_pb2_grpc import add_TweetServiceServicer_to_server
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceStub

from backlog import Backlog
from coalesced import MeshProcess, main
from cql_client import Cql
from outbox import CqlOutboxTable, Outbox
from readers.recent import RecentWrites
from redis_client import connect_redis
from runtime.bus import NatsBus
from runtime.ids import Uuid7Ids
from signals.publisher import Publisher
from svc_tweet.config import Config
from svc_tweet.deps import Deps
from svc_tweet.servicer import TweetServicer
from svc_tweet.store import SCHEMA, CqlTweetStore


async def build(process: MeshProcess, config: Config) -> None:
    """Wire the process. Waits for servers that are not up yet."""
    mesh, clock = config.mesh, process.clock
    # Readiness wants neither Redis nor svc_user: without them tweets are read and written, but for those that mention somebody.
    cql = await Cql.connect(mesh, SCHEMA)
    process.on_close(cql.close)
    process.check("cql", cql.ping)
    bus = await NatsBus.connect(mesh)
    process.on_close(bus.close)
    process.check("nats", bus.check)
    await bus.declare([TweetCreated, TweetDeleted])
    redis = connect_redis(mesh)
    process.on_close(redis.aclose)
    user = process.open_channel(config.user_address, user_pb2.DESCRIPTOR)
    process.on_close(user.close)

    ids = Uuid7Ids(clock)
    outbox = Outbox(CqlOutboxTable(cql, clock), bus, clock, process.faults, mesh.outbox_relay_ages_s)
    signals = Publisher(bus, TweetStatusSignal, publisher_id=ids.next().bytes)
    process.on_close(signals.goodbye)
    deps = Deps(
        store=CqlTweetStore(cql, outbox),
        outbox=outbox,
        user=UserServiceStub(user),
        recent=RecentWrites(redis, mesh.namespace),
        signals=signals,
        clock=clock,
        ids=ids,
        faults=process.faults,
    )
    process.serve(add_TweetServiceServicer_to_server, TweetServicer(deps))
    process.serve(add_MeshServiceServicer_to_server, Backlog([outbox], []))
    process.background("relay", outbox.relay)
    process.background("status-heartbeat", signals.beat)


if __name__ == "__main__":
    main(Config.from_env, build)
