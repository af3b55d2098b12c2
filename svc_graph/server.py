"""Builds a process of svc_graph, in order; nothing else constructs adapters."""

import time

from aviary.graph.v1.events_pb2 import BlockSet, FollowerSet, FollowSet, ReaderSignal, RelationSignal
from aviary.graph.v1.graph_pb2_grpc import add_GraphServiceServicer_to_server
from aviary.mesh.v1.mesh_pb2_grpc import add_MeshServiceServicer_to_server
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceStub

from accounts import Accounts, listen
from backlog import Backlog
from coalesced import MeshProcess, main
from cql_client import Cql
from cursors import Cursors
from outbox import CqlOutboxTable, Outbox
from readers.recent import RecentWrites
from redis_client import connect_redis
from runtime.bus import Consumers, NatsBus
from runtime.ids import Uuid7Ids
from runtime.service import check_peer
from signals.publisher import Publisher
from svc_graph.accounts import KnownAccounts
from svc_graph.activity import Activity
from svc_graph.config import Config
from svc_graph.days import CqlReaderDays
from svc_graph.deps import Deps, Readers
from svc_graph.ended_cql import CqlEnded
from svc_graph.forgetting import Forgetting
from svc_graph.growth import Growth
from svc_graph.levels_cql import CqlLevels
from svc_graph.limits import FollowLimits, StanceLimits
from svc_graph.mirrors_cql import CqlMirrors
from svc_graph.noting import keep_reader_day
from svc_graph.repair import Repair
from svc_graph.servicer import GraphServicer
from svc_graph.store import SCHEMA
from svc_graph.store_cql import CqlGraphStore
from svc_graph.turns import Turns
from svc_graph.workers import end_blocked_follows, end_void_follow


async def build(process: MeshProcess, config: Config) -> None:
    """Wire the process. Waits for servers that are not up yet."""
    mesh, clock = config.mesh, process.clock
    cql = await Cql.connect(mesh, SCHEMA)
    process.on_close(cql.close)
    process.check("cql", cql.ping)
    bus = await NatsBus.connect(mesh)
    process.on_close(bus.close)
    process.check("nats", bus.check)
    await bus.declare([FollowSet, FollowerSet, BlockSet])
    redis = connect_redis(mesh)
    process.on_close(redis.aclose)
    user = process.open_channel(config.user_address, user_pb2.DESCRIPTOR)
    process.on_close(user.close)
    process.check("user", lambda: check_peer(user))
    accounts = Accounts(UserServiceStub(user), time.monotonic, config.known_accounts, profiles=False)
    process.on_close(await listen(accounts, bus))
    signals = Publisher(bus, RelationSignal, publisher_id=Uuid7Ids(clock).next().bytes)
    process.on_close(signals.goodbye)
    readers = await _readers(cql, bus, config, process)

    outbox = Outbox(CqlOutboxTable(cql, clock), bus, clock, process.faults, mesh.outbox_relay_ages_s)
    levels = CqlLevels(cql, config.levels)
    growth = Growth(levels, clock, process.faults)
    store = CqlGraphStore(cql, outbox, levels, growth.noticed, page_room=config.page_room)
    deps = Deps(
        store=store,
        outbox=outbox,
        recent=RecentWrites(redis, mesh.namespace),
        signals=signals,
        accounts=KnownAccounts(accounts),
        limits=FollowLimits(store, config.follow_limit),
        stance_limits=StanceLimits(store, config.stance_limits),
        turns=Turns(),
        cursors=Cursors(config.cursor_keys, clock),
        readers=readers,
        clock=clock,
        faults=process.faults,
    )
    consumers = Consumers(bus, [end_void_follow, end_blocked_follows, keep_reader_day], deps)
    process.serve(add_GraphServiceServicer_to_server, GraphServicer(deps))
    process.serve(add_MeshServiceServicer_to_server, Backlog([outbox], [consumers]))
    process.background("relay", outbox.relay)
    process.background("relation-heartbeat", signals.beat)
    process.background("consumers", consumers.run)
    process.check("consumers", consumers.check)
    process.background("growth", lambda: growth.run(store))
    mirrors = CqlMirrors(cql, levels, store.stamps)
    process.background("repair", _repair(mirrors, store, config, process).run)
    process.background("forgetting", _forgetting(cql, mirrors, config, process).run)


async def _readers(cql: Cql, bus: NatsBus, config: Config, process: MeshProcess) -> Readers:
    days = CqlReaderDays(cql, process.clock, config.activity.kept_days)
    activity = Activity(days, process.clock, config.activity)
    process.on_close(await bus.listen(ReaderSignal, activity.heard))
    process.background("activity", activity.run)
    returns = Publisher(bus, ReaderSignal, publisher_id=Uuid7Ids(process.clock).next().bytes)
    process.on_close(returns.goodbye)
    process.background("return-heartbeat", returns.beat)
    return Readers(days, activity, returns)


def _repair(mirrors: CqlMirrors, store: CqlGraphStore, config: Config, process: MeshProcess) -> Repair:
    return Repair(
        mirrors,
        store,
        process.clock,
        rows_a_second=config.repair_rows_a_second,
        again_s=config.repair_again_s,
        settled_s=config.repair_settled_s,
    )


def _forgetting(cql: Cql, mirrors: CqlMirrors, config: Config, process: MeshProcess) -> Forgetting:
    return Forgetting(
        CqlEnded(cql),
        mirrors.edges,
        process.clock,
        kept_s=config.ended_kept_s,
        rows_a_second=config.repair_rows_a_second,
    )


if __name__ == "__main__":
    main(Config.from_env, build)
