"""Finding and checking TCP ports of loopback addresses. Which program uses which port is decided by its table, not here."""

import random
import socket
import sys
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from stack.errors import StackError

HOST = "127.0.0.1"
_LOWEST = 10_000
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DEFAULT_EPHEMERAL = 32_768
_KEPT = 512
_reserved: OrderedDict[int, socket.socket | None] = OrderedDict()
"""Ports that this process chose lately, and what tells other processes so."""


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: connections in TIME_WAIT do not occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def ephemeral_start() -> int:
    """The first port the kernel may hand to outgoing connections; a server's port belongs below it."""
    try:
        return int(_RANGE_FILE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return _DEFAULT_EPHEMERAL


def pick_free(count: int, *, seed: int | None = None, hosts: Sequence[str] = (HOST,)) -> list[int]:
    """Distinct ports that are free on all of these addresses, below the ephemeral range.

    Chosen at random, and not by another process meanwhile: some seconds lie between the choice and the server that listens. Raises
    StackError when there are not so many.
    """
    end = ephemeral_start()
    low = _LOWEST if end > _LOWEST + 4 * count else 1024
    candidates = list(range(low, max(end, low + 4 * count)))
    random.Random(seed).shuffle(candidates)
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if all(is_free(port, host) for host in hosts) and _is_ours(port):
            found.append(port)
    if len(found) < count:
        raise StackError(
            f"no {count} free ports on {', '.join(hosts)} between {low} and {end}: stop other servers and start again"
        )
    return found


def _is_ours(port: int) -> bool:
    """Whether no other process that lives has chosen a port. Where the system knows no abstract names nobody can tell."""
    if port not in _reserved:
        name = None
        if sys.platform == "linux":
            name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                name.bind(f"\0aviary-port-{port}")
            except OSError:
                name.close()
                return False
        _reserved[port] = name
        if len(_reserved) > _KEPT:
            _, oldest = _reserved.popitem(last=False)
            if oldest is not None:
                oldest.close()
    return True
