"""What the `aviary` command reads from its environment. What the services read is in topology.py."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.cassandra import Settings as CassandraSettings
from stack.errors import StackError
from stack.local import NODE_HEAP_MB, PROFILES

DEFAULT_HTTP_PORT = 8080
DEFAULT_HUNG_S = 10
DEFAULT_LOG_MB = 16


@dataclass(frozen=True)
class Settings:
    """One stack on this machine: where its state lies, what prefixes its names, which ports it uses."""

    home: Path
    """AVIARY_HOME, absolute. Default: .aviary in the current folder."""
    namespace: str
    """AVIARY_NAMESPACE prefixes keyspaces, streams and keys. Default: aviary."""
    free_ports: bool
    """AVIARY_PORTS=free: any free ports instead of the fixed table."""
    http_port: int | None
    """AVIARY_HTTP_PORT, the edge's public port; None leaves the choice to the table."""
    nodes: int
    """AVIARY_STACK_NODES: of Cassandra and of NATS, 1 or 3 (two lose their majority with either)."""
    hung_s: int
    """AVIARY_UNIT_HUNG_S: what answers no ping for so long is ended and started again; Cassandra has six times as long. 0: never."""
    tls: bool
    """AVIARY_STACK_TLS=1: services prove to each other who they are, with certificates made at the start."""
    log_mb: int
    """AVIARY_LOG_MB: a longer log is moved to its one older generation."""
    cassandra: CassandraSettings
    """AVIARY_CASSANDRA_HEAP_MB (512; 256 for each of three) and, for tests, AVIARY_CASSANDRA_SKIP_SYNC=1 and _QUICK_COMPILER=1."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read and check all; every wrong value is named in one line."""
        wrong: list[str] = []

        def number(name: str, default: int | None, low: int, high: int) -> int | None:
            text = env.get(name, "")
            if not text:
                return default
            if not text.isdigit() or not low <= int(text) <= high:
                wrong.append(f"{name}={text} (a number from {low} to {high})")
                return default
            return int(text)

        ports = env.get("AVIARY_PORTS", "")
        if ports not in ("", "fixed", "free"):
            wrong.append(f"AVIARY_PORTS={ports} (fixed or free)")
        namespace = env.get("AVIARY_NAMESPACE") or "aviary"
        # It becomes part of keyspace names: CQL folds capitals and allows 48 characters in all.
        if re.fullmatch(r"[a-z][a-z0-9_]{0,31}", namespace) is None:
            wrong.append(f"AVIARY_NAMESPACE={namespace} (a-z, 0-9 and _, a letter first, at most 32)")
        nodes = number("AVIARY_STACK_NODES", 1, 1, 3) or 1
        if nodes == 2:
            wrong.append("AVIARY_STACK_NODES=2 (1 or 3)")
        heap_mb = PROFILES["run"].heap_mb if nodes == 1 else NODE_HEAP_MB
        settings = cls(
            home=home_folder(env),
            namespace=namespace,
            free_ports=ports == "free",
            http_port=number("AVIARY_HTTP_PORT", None, 1, 65535),
            nodes=nodes,
            hung_s=number("AVIARY_UNIT_HUNG_S", DEFAULT_HUNG_S, 0, 3600) or 0,
            tls=env.get("AVIARY_STACK_TLS") == "1",
            log_mb=number("AVIARY_LOG_MB", DEFAULT_LOG_MB, 1, 100_000) or DEFAULT_LOG_MB,
            cassandra=CassandraSettings(
                heap_mb=number("AVIARY_CASSANDRA_HEAP_MB", heap_mb, 256, 65536) or heap_mb,
                quick_compiler=env.get("AVIARY_CASSANDRA_QUICK_COMPILER") == "1",
                skip_sync=env.get("AVIARY_CASSANDRA_SKIP_SYNC") == "1",
            ),
        )
        if wrong:
            raise StackError("these settings are wrong: " + "; ".join(wrong))
        return settings


def home_folder(env: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds all state of a stack, absolute."""
    return Path(env.get("AVIARY_HOME") or ".aviary").resolve()
