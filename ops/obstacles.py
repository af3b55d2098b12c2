"""What keeps a program from being started although nothing is wrong with it: its port is taken, its disk is full."""

import contextlib
import shutil

import psutil

from stack.ports import is_free
from stack.process import Program

_MB = 1024 * 1024
_EVERYWHERE = ("0.0.0.0", "::")


def taken_port(program: Program) -> tuple[str, int, str] | None:
    """The first of its ports on which somebody listens: what it is for, its number, and who has it where one can see that."""
    for kind, port in program.ports.items():
        if not is_free(port, program.host):
            return kind, port, listener(program.host, port)
    return None


def lack_of_room(program: Program) -> str | None:
    """Why there is too little space for it, in words; None when there is enough."""
    if not program.room_mb or not program.workdir.exists():
        return None
    free_mb = shutil.disk_usage(program.workdir).free // _MB
    if free_mb >= program.room_mb:
        return None
    return f"only {free_mb} MB are free in {program.workdir}, it needs {program.room_mb}: make room"


def obstacle(program: Program) -> str | None:
    """Why the program would end again at once, in words; None when nothing is in its way."""
    taken = taken_port(program)
    if taken is not None:
        kind, port, owner = taken
        return f"port {port} ({kind}) is in use{owner}: stop what listens there"
    return lack_of_room(program)


def listener(host: str, port: int) -> str:
    """` by NAME (pid N)` of what listens on a port, where the system lets us see it; else nothing."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            here = connection.laddr.port == port and connection.laddr.ip in (host, *_EVERYWHERE)
            if here and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
