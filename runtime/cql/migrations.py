"""Brings the keyspace of an area to its newest schema, in files `0001_name.cql`, `0002_…`; blocking, run in a thread at start."""

import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from runtime.errors import Unavailable
from runtime.telemetry import logger

_LOCK = 0
_LOCK_TTL_S = 60
_POLL_S = 0.05
_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.cql$")
_VERSIONS = """CREATE TABLE IF NOT EXISTS schema_versions (
    version int PRIMARY KEY, name text, owner uuid, applied_at timestamp
)"""

log = logger(__name__)


def migrate(session: Any, keyspace: str, replication: str, schema_dir: Path) -> None:
    """Make the keyspace, use it, and apply in order what it lacks; of processes that start at once one applies, the others wait.

    A file that a crash cut off is applied again from its beginning, so statements are written to be repeatable (IF NOT EXISTS).
    """
    files = _files(schema_dir)
    # Not only when a look shows them absent: the schema tables show a keyspace before it can be used.
    session.execute(f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}")
    session.set_keyspace(keyspace)
    session.execute(_VERSIONS)
    while missing := [f for f in files if f[0] not in _applied(session)]:
        owner = uuid.uuid4()
        if _lock(session, owner):
            try:
                for version, path in missing:
                    _apply(session, version, path)
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


def _applied(session: Any) -> set[int]:
    query = SimpleStatement(
        "SELECT version, applied_at FROM schema_versions", consistency_level=ConsistencyLevel.LOCAL_QUORUM
    )
    return {version for version, applied_at in session.execute(query) if applied_at is not None}


def _lock(session: Any, owner: uuid.UUID) -> bool:
    query = f"INSERT INTO schema_versions (version, owner) VALUES (%s, %s) IF NOT EXISTS USING TTL {_LOCK_TTL_S}"
    return bool(session.execute(query, (_LOCK, owner)).was_applied)


def _apply(session: Any, version: int, path: Path) -> None:
    # Another process may have finished between our look and our lock.
    if version in _applied(session):
        return
    for statement in statements(path.read_text(encoding="utf-8")):
        if not session.execute(statement).response_future.is_schema_agreed:
            raise Unavailable(f"the servers do not agree on the schema after {path.name}", retry_after_s=1)
    session.execute(
        "INSERT INTO schema_versions (version, name, applied_at) VALUES (%s, %s, toTimestamp(now()))",
        (version, path.name),
    )
    log.info("schema_applied", version=version, name=path.name)
