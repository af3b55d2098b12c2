"""How other programs find a running stack: its addresses, ports and secrets. Starting one is not here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops import secrets
from ops.settings import home_folder
from ops.state import ProcessRecord, RunRecord, is_alive
from stack.errors import StackError


@dataclass(frozen=True, repr=False)
class Running:
    """A stack that runs now."""

    home: Path
    pid: int
    """Of the supervisor."""
    state: str
    """starting, ready or stopping."""
    namespace: str
    http_url: str | None
    """Where the edge listens; None when only the servers run."""
    addresses: Mapping[str, str]
    """AVIARY_NAMESPACE, AVIARY_HTTP_PORT and the AVIARY_*_ADDRESS, _URL and _CONTACT_POINTS of everything."""
    secrets: Mapping[str, str]
    """The secrets of ops/secrets.py; values set in this process's environment win, as they do for the services."""
    processes: tuple[ProcessRecord, ...]

    def __repr__(self) -> str:
        return f"Running(home={str(self.home)!r}, pid={self.pid}, state={self.state!r})"

    def environment(self) -> dict[str, str]:
        """Everything a program needs to talk to the stack, secrets included."""
        return {**self.addresses, **self.secrets}

    def process(self, name: str) -> ProcessRecord:
        """One process by name; raises KeyError."""
        return {record.name: record for record in self.processes}[name]


def load(home: Path | None = None) -> Running:
    """The stack that runs in a home (default: AVIARY_HOME). Raises StackError when none does."""
    home = home_folder() if home is None else home.resolve()
    record = RunRecord.read(home)
    if record is None or not is_alive(record.pid, record.started):
        raise StackError(f"nothing is running in {home}: start it with `aviary up`, or set AVIARY_HOME")
    kept = secrets.load(home)
    return Running(
        home=home,
        pid=record.pid,
        state=record.state,
        namespace=record.namespace,
        http_url=None if record.http_port is None else f"http://127.0.0.1:{record.http_port}",
        addresses=record.addresses,
        secrets=kept | {name: os.environ[name] for name in kept if os.environ.get(name)},
        processes=tuple(record.processes),
    )
