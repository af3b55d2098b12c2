"""Builds a process of svc_user, in order; nothing but construction here."""

import secrets
import time

from aviary.mesh.v1.mesh_pb2_grpc import add_MeshServiceServicer_to_server
from aviary.user.v1.apps_pb2_grpc import add_AppServiceServicer_to_server
from aviary.user.v1.events_pb2 import AccountChanged, AccountSignal, UserRegistered
from aviary.user.v1.user_pb2_grpc import add_UserServiceServicer_to_server

from backlog import Backlog
from coalesced import MeshProcess, main
from cql_client import Cql
from cursors import Cursors
from outbox import CqlOutboxTable, Outbox
from readers.recent import RecentWrites
from redis_client import connect_redis
from redis_client.line import Line
from runtime.bus import NatsBus
from runtime.ids import Uuid7Ids
from signals.publisher import Publisher
from svc_user.apps.servicer import AppServicer
from svc_user.config import Config
from svc_user.deps import Deps
from svc_user.emails import Emails
from svc_user.guess_counts import REDIS_SILENCE_S, RedisCounts
from svc_user.guesses import Guesses
from svc_user.hashing import HashingProcesses
from svc_user.passwords import Passwords, common_passwords
from svc_user.servicer import UserServicer
from svc_user.store import SCHEMA, CqlUserStore
from svc_user.store_apps import CqlAppStore
from svc_user.store_sessions import CqlSessionStore
from svc_user.tokens import TokenIssuer


async def build(process: MeshProcess, config: Config) -> None:
    """Wire the process. Waits for servers that are not up yet."""
    mesh, clock = config.mesh, process.clock
    # Readiness does not want Redis: without it an own change is shown by what caches are told.
    cql = await Cql.connect(mesh, SCHEMA)
    process.on_close(cql.close)
    process.check("cql", cql.ping)
    bus = await NatsBus.connect(mesh)
    process.on_close(bus.close)
    process.check("nats", bus.check)
    await bus.declare([UserRegistered, AccountChanged])
    redis = connect_redis(mesh)
    process.on_close(redis.aclose)
    line = Line(mesh.redis_url, REDIS_SILENCE_S)
    process.on_close(line.aclose)

    ids = Uuid7Ids(clock)
    outbox = Outbox(CqlOutboxTable(cql, clock), bus, clock, process.faults, mesh.outbox_relay_ages_s)
    hashing = HashingProcesses(config.password_processes)
    process.on_close(hashing.close)
    nobodys = await hashing.hash(secrets.token_hex())
    passwords = Passwords(hashing, common_passwords(), nobodys, config.password_waiting, time.monotonic)
    signals = Publisher(bus, AccountSignal, publisher_id=ids.next().bytes)
    process.on_close(signals.goodbye)
    logins = CqlSessionStore(cql, config.session_s)
    deps = Deps(
        store=CqlUserStore(cql, outbox),
        logins=logins,
        apps=CqlAppStore(cql),
        outbox=outbox,
        recent=RecentWrites(redis, mesh.namespace),
        passwords=passwords,
        guesses=Guesses(RedisCounts(line, mesh.namespace), logins, config.email_key, clock),
        emails=Emails(config.email_key),
        tokens=TokenIssuer(config.signing_key, config.refresh_key, clock, config.access_token_s),
        signals=signals,
        cursors=Cursors(config.cursor_keys, clock),
        clock=clock,
        ids=ids,
        faults=process.faults,
        claim_abandoned_ms=config.claim_abandoned_s * 1000,
        renames_allowed=config.renames,
    )
    process.serve(add_UserServiceServicer_to_server, UserServicer(deps))
    process.serve(add_AppServiceServicer_to_server, AppServicer(deps))
    process.serve(add_MeshServiceServicer_to_server, Backlog([outbox], []))
    process.background("relay", outbox.relay)
    process.background("account-heartbeat", signals.beat)


if __name__ == "__main__":
    main(Config.from_env, build)
