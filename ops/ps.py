"""`aviary ps`: the processes of a running stack and whether each is ready at this moment."""

import argparse
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops import running
from ops.settings import home_folder
from ops.state import ProcessRecord
from ops.topology import probe_readyz
from stack import cassandra, nats, redis
from stack.nodes import parse

_SERVER_PROBES: dict[str, Callable[[ProcessRecord, str], str | None]] = {
    cassandra.NAME: lambda record, host: cassandra.probe(record.ports["cql"], host),
    nats.NAME: lambda record, host: nats.probe(record.ports["http"], host),
    redis.NAME: lambda record, _host: redis.probe(record.ports["redis"]),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ps`."""
    parser.add_argument("--json", action="store_true", help="a list of objects, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Show the stack of AVIARY_HOME."""
    return show(home_folder(), as_json=arguments.json)


def show(home: Path, *, as_json: bool) -> int:
    """Print one line or one object per process. Raises StackError when nothing runs."""
    rows = look(running.load(home))
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        ports = " ".join(f"{kind}:{port}" for kind, port in row["ports"].items())
        pid = row["pid"] or "-"
        notes = [row["reason"], *([f"ended at {row['last_end_at']} with {row['last_end']}"] if row["last_end"] else [])]
        print(
            f"{row['name']:<13} {pid:>8}  {row['state']:<10} {row['restarts']:>3} restarts  {ports}  "
            + "; ".join(filter(None, notes))
        )
    return 0


def look(stack: running.Running) -> list[dict[str, Any]]:
    """What `ps --json` prints: name, role, pid, ports, state, restarts, log, the reason when one is not ready, and with what
    it ended last, and when.

    `ready` is asked of the process now; one that was and is not any more is `unready`.
    """
    with ThreadPoolExecutor(8) as pool:
        reasons = list(pool.map(_why_unready, stack.processes))
    rows: list[dict[str, Any]] = [
        {"name": "supervisor", "role": "supervisor", "pid": stack.pid, "ports": {}, "state": stack.state}
        | {"restarts": 0, "log": "", "reason": "", "last_end": "", "last_end_at": None}
    ]
    for record, reason in zip(stack.processes, reasons, strict=True):
        rows.append(
            {"name": record.name, "role": record.role, "pid": record.pid, "ports": dict(record.ports)}
            | {"state": "unready" if reason else record.state, "restarts": record.restarts, "log": record.log}
            | {
                "reason": reason or record.reason,
                "last_end": record.last_end,
                "last_end_at": _clock(record.last_end_at),
            }
        )
    return rows


def _clock(at: float | None) -> str | None:
    """A time as the logs have it."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _why_unready(record: ProcessRecord) -> str | None:
    """Why a process that was ready is not; None for those that are, or have yet to become it."""
    if record.state != "ready":
        return None
    server, host = parse(record.name)
    probe = _SERVER_PROBES.get(server)
    return probe(record, host) if probe is not None else probe_readyz(record.ports["metrics"])()
