"""Opening a session, blocking, for a thread: cluster settings, keyspace, schema. Statements are session.py."""

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.query import dict_factory, named_tuple_factory, tuple_factory

from cql_client.migrations import migrate
from cql_client.statements import translated
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from runtime.telemetry import logger

READ, WRITE, CONDITIONAL, SERIAL_READ = "read", "write", "conditional", "serial_read"
READ_TIMEOUT_S = 2.0
WRITE_TIMEOUT_S = 5.0
_RETRY_S = 0.5
# A node that has not answered what may be repeated for so long is helped out by another one.
_HELP_S = 0.4

log = logger(__name__)


class Timestamps:
    """Client timestamps in microseconds, rising within the process; a caller may fix the one of the next request of its thread."""

    def __init__(self) -> None:
        self.fixed = threading.local()
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> int:
        """The timestamp of the request that is being built."""
        fixed: int | None = getattr(self.fixed, "us", None)
        if fixed is not None:
            return fixed
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            return self._last


@dataclass(frozen=True)
class Opened:
    """A session on the keyspace of one area, whose schema is complete."""

    cluster: Any
    session: Any
    timestamps: Timestamps
    keyspace: str


def open_session(config: MeshConfig, schema_dir: Path, patience_s: float, connection_class: Any = None) -> Opened:
    """Connect, make the keyspace and apply the schema; waits while no server answers, then raises Unavailable.

    Without a class of connections they are the driver's own, which need no event loop.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            return _open(config, schema_dir, connection_class)
        except Exception as error:
            if not isinstance(translated(error, reads=True), Unavailable):
                raise
            if time.monotonic() > end:
                points = ", ".join(f"{host}:{port}" for host, port in config.cql_contact_points)
                raise Unavailable(f"no CQL server answers at {points}", retry_after_s=1) from error
            log.warning("cql_not_up_yet", error=str(error))
            time.sleep(_RETRY_S)


def _open(config: MeshConfig, schema_dir: Path, connection_class: Any) -> Opened:
    timestamps = Timestamps()
    cluster = _cluster(config, timestamps, connection_class)
    try:
        session = cluster.connect()
        # Whole answers: a page that nobody asks on for would silently cut a list.
        session.default_fetch_size = None
        keyspace = f"{config.namespace}_{config.area}".lower()
        migrate(session, keyspace, config.cql_datacenter, config.cql_replication, schema_dir)
        return Opened(cluster, session, timestamps, keyspace)
    except BaseException:
        cluster.shutdown()
        raise


def _cluster(config: MeshConfig, timestamps: Timestamps, connection_class: Any) -> Any:
    # One helper, and a third node for what neither of the two can do: without one left the driver gives up too early. The
    # same nodes let a hanging one be dropped after seconds; where there is no other, it is rather waited for.
    has_others = config.cql_replication > 2

    def profile(consistency: int, timeout_s: float, rows: Any = tuple_factory) -> Any:
        return ExecutionProfile(
            # Shuffling replicas in place makes the driver find no host for a while when a node dies.
            load_balancing_policy=TokenAwarePolicy(
                DCAwareRoundRobinPolicy(config.cql_datacenter), shuffle_replicas=False
            ),
            consistency_level=consistency,
            serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
            speculative_execution_policy=ConstantSpeculativeExecutionPolicy(_HELP_S, int(has_others)),
            request_timeout=timeout_s,
            row_factory=rows,
        )

    quorum = ConsistencyLevel.LOCAL_QUORUM
    return Cluster(
        contact_points=list(config.cql_contact_points),
        port=config.cql_contact_points[0][1],
        connection_class=connection_class,
        protocol_version=4,
        execution_profiles={
            # Of migrations; the driver's wait for agreement reads its own rows with it, by name.
            EXEC_PROFILE_DEFAULT: profile(quorum, 60.0, named_tuple_factory),
            READ: profile(quorum, READ_TIMEOUT_S),
            WRITE: profile(quorum, WRITE_TIMEOUT_S),
            CONDITIONAL: profile(quorum, WRITE_TIMEOUT_S, dict_factory),
            SERIAL_READ: profile(ConsistencyLevel.LOCAL_SERIAL, READ_TIMEOUT_S),
        },
        reconnection_policy=ConstantReconnectionPolicy(0.5, None),
        timestamp_generator=timestamps,
        connect_timeout=5,
        # Or a request waits 40 ms for the receipt of the one before, which the server holds back while that one is being written.
        sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        # Who changes the schema waits himself (migrations.py).
        max_schema_agreement_wait=0,
        idle_heartbeat_interval=1 if has_others else 10,
        idle_heartbeat_timeout=2 if has_others else 5,
        compression=False,
    )
