"""Brings the keyspace of an area to its newest schema, in files `0001_name.cql`, `0002_…`; blocking, run in a thread at start."""

import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.query import SimpleStatement

from runtime.errors import Unavailable
from runtime.telemetry import logger

_LOCK = 0
_LOCK_TTL_S = 60
_POLL_S = 0.1
_AGREEMENT_S = 20
_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.cql$")
_ADDS = re.compile(r"ALTER TABLE (\w+) ADD\s*\(?\s*(\w+) ")
_VERSIONS = """CREATE TABLE IF NOT EXISTS {keyspace}.schema_versions (
    version int PRIMARY KEY, name text, owner uuid, applied_at timestamp
)"""

log = logger(__name__)


def migrate(session: Any, keyspace: str, datacenter: str, copies: int, schema_dir: Path) -> None:
    """Use the keyspace, having made it and applied in order what it lacks; of processes that start at once one applies, the others wait.

    A file that a crash cut off is applied again from its beginning, so statements are written to be repeatable (IF NOT EXISTS).
    Columns that a statement adds come all or none; one that was applied is left out, for ScyllaDB has no ADD IF NOT EXISTS.
    Raises Unavailable when something is lacking while a node is down, or while fewer nodes have met than there are to be copies of a
    row; a schema that is complete needs no more than a quorum.
    """
    files = _files(schema_dir)
    if not {version for version, _ in files} <= _versions(session, keyspace):
        if (known := sum(one.datacenter == datacenter for one in session.cluster.metadata.all_hosts())) < copies:
            # Nodes that just started take clients before they have met: each would make tables of its own, of other ids, for good.
            raise Unavailable(f"{known} of the {copies} nodes that rows are kept on have met", retry_after_s=1)
        # Not only what a look shows absent: the schema tables show a keyspace before it can be used.
        replication = f"{{'class': 'NetworkTopologyStrategy', '{datacenter}': {copies}}}"
        _change(session, f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}")
        _change(session, _VERSIONS.format(keyspace=keyspace))
    session.set_keyspace(keyspace)
    owner = uuid.uuid4()
    while missing := [f for f in files if f[0] not in (found := _versions(session, keyspace))]:
        # A look first: many who try for the lock at once keep each other from it.
        if _LOCK not in found and _lock(session, owner):
            try:
                for version, path in missing:
                    _apply(session, keyspace, version, path, owner)
            finally:
                session.execute("DELETE FROM schema_versions WHERE version = %s IF owner = %s", (_LOCK, owner))
        else:
            time.sleep(_POLL_S)


def statements(text: str) -> Iterator[str]:
    """The statements of a schema file, without comments; they are separated by `;`, which no literal of ours contains."""
    bare = re.sub(r"--[^\n]*|//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    yield from (s.strip() for s in bare.split(";") if s.strip())


def _files(schema_dir: Path) -> list[tuple[int, Path]]:
    matches = [(_NAME.match(p.name), p) for p in sorted(schema_dir.glob("[0-9]*.cql"))]
    files = [(int(m[1]), p) for m, p in matches if m]
    if [version for version, _ in files] != list(range(1, len(matches) + 1)) or not files:
        raise ValueError(f"{schema_dir.name}: schema files must be 0001_name.cql, 0002_name.cql … without a gap")
    return files


def _versions(session: Any, keyspace: str) -> set[int]:
    """The versions that are applied, and 0 while somebody holds the lock; none where there is no such keyspace or table."""
    query = SimpleStatement(
        f"SELECT version FROM {keyspace}.schema_versions", consistency_level=ConsistencyLevel.LOCAL_QUORUM
    )
    try:
        return {version for (version,) in session.execute(query)}
    except InvalidRequest:
        return set()


def _lock(session: Any, owner: uuid.UUID) -> bool:
    query = f"INSERT INTO schema_versions (version, owner) VALUES (%s, %s) IF NOT EXISTS USING TTL {_LOCK_TTL_S}"
    return bool(session.execute(query, (_LOCK, owner)).was_applied)


def _keep(session: Any, owner: uuid.UUID) -> None:
    """Hold the lock for another minute."""
    query = f"UPDATE schema_versions USING TTL {_LOCK_TTL_S} SET owner = %s WHERE version = %s IF owner = %s"
    if not session.execute(query, (owner, _LOCK, owner)).was_applied:
        raise Unavailable("another process applies the schema now", retry_after_s=1)


def _change(session: Any, change: str) -> None:
    """Change the schema; returns when every node has it.

    All processes send changes to the same node: a table that is made on two nodes at once has two ids, of which one wins, and what was
    written under the other is lost. On one node the second process finds it made.
    """
    hosts = sorted(session.cluster.metadata.all_hosts(), key=lambda host: str(host.endpoint))
    if not all(host.is_up for host in hosts):
        raise Unavailable("the schema is changed only while all nodes are up", retry_after_s=1)
    session.execute(change, host=hosts[0])
    # The nodes are asked themselves: the driver's own way to wait learns of it by gossip, a second later.
    if not session.wait_for_schema_agreement(wait_time=_AGREEMENT_S):
        raise Unavailable("the servers do not agree on the schema", retry_after_s=1)


def _is_added(session: Any, keyspace: str, statement: str) -> bool:
    adds = _ADDS.match(statement)
    query = "SELECT type FROM system_schema.columns WHERE keyspace_name = %s AND table_name = %s AND column_name = %s"
    return adds is not None and session.execute(query, (keyspace, *adds.groups())).one() is not None


def _apply(session: Any, keyspace: str, version: int, path: Path, owner: uuid.UUID) -> None:
    # Another process may have finished between our look and our lock.
    if version in _versions(session, keyspace):
        return
    for statement in statements(path.read_text(encoding="utf-8")):
        _keep(session, owner)
        if not _is_added(session, keyspace, statement):
            _change(session, statement)
    session.execute(
        "INSERT INTO schema_versions (version, name, applied_at) VALUES (%s, %s, toTimestamp(now()))",
        (version, path.name),
    )
    log.info("schema_applied", version=version, name=path.name)
