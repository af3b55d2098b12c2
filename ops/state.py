"""What a running stack writes down about itself (run.json), and who holds a home. Readers go through running.py."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from stack.errors import StackError

RUN_FILE = "run.json"
PID_FILE = "aviary.pid"
LOCK_FILE = "aviary.lock"
_LEFTOVER_WAIT_S = 10.0
# Start times are read back from the same kernel counter; only the rounding of JSON has to be forgiven.
_SAME_START_S = 0.5


@dataclass
class ProcessRecord:
    """One process as `aviary ps` shows it."""

    name: str
    role: str
    pid: int | None = None
    started: float | None = None
    """Epoch seconds at which this pid was born; tells it from a later process of the same pid."""
    ports: Mapping[str, int] = field(default_factory=dict)
    state: str = "waiting"
    """waiting, starting, ready, restarting, blocked, stopped; `external` for a server that is not ours."""
    restarts: int = 0
    log: str = ""
    reason: str = ""
    """What is in the way of a start, when it is blocked."""
    last_end: str = ""
    """With what it ended before the latest restart: `exit code 1`, `signal SIGKILL (…)`."""
    last_end_at: float | None = None
    """When that was, epoch seconds."""


@dataclass
class RunRecord:
    """One stack as run.json holds it: no secrets but what an address may contain, and so for its owner's eyes only."""

    pid: int
    started: float
    namespace: str
    addresses: Mapping[str, str]
    http_port: int | None
    state: str = "starting"
    """starting, ready, stopping, failed."""
    processes: list[ProcessRecord] = field(default_factory=list)

    def write(self, home: Path) -> None:
        """Replace run.json by this."""
        fresh = home / (RUN_FILE + ".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=2)
        fresh.replace(home / RUN_FILE)

    @classmethod
    def read(cls, home: Path) -> "RunRecord | None":
        """What run.json says; None when there is none, or one that is cut short or of another version."""
        try:
            values = json.loads((home / RUN_FILE).read_text(encoding="utf-8"))
            processes = [ProcessRecord(**process) for process in values.pop("processes")]
            return cls(**values, processes=processes)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None


def start_time(pid: int) -> float | None:
    """When the process was born, epoch seconds; None when there is no such process or it is a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def is_alive(pid: int | None, started: float | None) -> bool:
    """Whether exactly that process still runs: a reused pid has another start time."""
    if pid is None or started is None:
        return False
    now = start_time(pid)
    return now is not None and abs(now - started) < _SAME_START_S


def supervisor_of(home: Path) -> int | None:
    """The pid of the living supervisor of a home; None when nothing runs there."""
    try:
        values = json.loads((home / PID_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return int(values["pid"]) if is_alive(values["pid"], values["started"]) else None


def refuse_second(home: Path) -> None:
    """Raise StackError when a stack is running in the home."""
    pid = supervisor_of(home)
    if pid is not None:
        raise StackError(
            f"a stack is already running in {home} (pid {pid}): stop it with `aviary down`, or set AVIARY_HOME,"
            " AVIARY_NAMESPACE and AVIARY_PORTS=free for a second one"
        )


@contextlib.contextmanager
def hold(home: Path) -> Iterator[None]:
    """Be the supervisor of a home; a second one is refused with a StackError, one that died is succeeded."""
    with (home / LOCK_FILE).open("a") as lock:
        try:
            # The kernel gives it back whenever and however this process ends; children do not inherit it.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refuse_second(home)
            raise StackError(f"another `aviary` is just starting or stopping in {home}: try again") from None
        _end_leftovers(home)
        pid_file = home / PID_FILE
        pid_file.write_text(json.dumps({"pid": os.getpid(), "started": start_time(os.getpid())}), encoding="utf-8")
        try:
            yield
        finally:
            pid_file.unlink(missing_ok=True)


def _end_leftovers(home: Path) -> None:
    """See that no child of a killed supervisor is left: Linux ends them with it (in a moment), other systems do not."""
    previous = RunRecord.read(home)
    left = [p for p in (previous.processes if previous else []) if is_alive(p.pid, p.started)]
    deadline = time.monotonic() + _LEFTOVER_WAIT_S
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(process.pid).kill()
    while any(is_alive(p.pid, p.started) for p in left):
        if time.monotonic() > deadline:
            raise StackError(f"processes of an earlier stack do not end: {', '.join(p.name for p in left)}")
        time.sleep(0.02)
