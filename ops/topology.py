"""Everything a local stack consists of, in one table: services, ports, needs, and the environment they are given.

How processes are started and watched is in supervisor.py.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType

from ops.settings import DEFAULT_HTTP_PORT, Settings
from stack import cassandra, nats, redis
from stack.local import Addresses, ServerPorts, given_addresses, merge, programs
from stack.nodes import nodes, parse
from stack.ports import HOST, pick_free
from stack.process import Ping, Probe, Program

ROOT = Path(__file__).resolve().parent.parent
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# Below the ephemeral range, and none of them the servers' own defaults: a Redis of the user's keeps its port.
SERVER_PORTS = ServerPorts(cql=17042, storage=17000, redis=17379, nats=17222, nats_http=17822, nats_route=17248)
# Freed buffers above 128 KB would go back to the kernel and be faulted in again by every large page.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_TOP_PAD_": "16777216",
}


class Role(StrEnum):
    """What a process is: servers start first and stop last."""

    SERVER = "server"
    SERVICE = "service"


@dataclass(frozen=True)
class Service:
    """One of our services: `python -m MODULE.server`."""

    name: str
    area: str
    port: int
    """Of gRPC. The edge serves the view service there, for internal callers."""
    metrics_port: int
    """Of /metrics, /healthz and /readyz."""
    needs: tuple[str, ...]
    """The servers that are ready before it starts."""

    @property
    def variable(self) -> str:
        """The area as it stands in the names of environment variables."""
        return self.area.upper()


SERVICES = (
    Service("svc_user", "user", 7001, 9001, (cassandra.NAME, nats.NAME)),
    Service("svc_graph", "graph", 7002, 9002, (cassandra.NAME, nats.NAME)),
    Service("svc_tweet", "tweet", 7003, 9003, (cassandra.NAME, nats.NAME)),
    Service("svc_timeline", "timeline", 7004, 9004, (cassandra.NAME, redis.NAME, nats.NAME)),
    Service("svc_engage", "engage", 7006, 9006, (cassandra.NAME, nats.NAME)),
    Service("edge", "edge", 7005, 9005, (redis.NAME, nats.NAME)),
)
EDGE = "edge"
OPERATOR = "operator"
"""Who holds the certificate that the `aviary` commands use."""


@dataclass(frozen=True)
class Unit:
    """A program as a part of the stack."""

    program: Program
    role: Role
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ports:
    """The ports of one stack."""

    servers: ServerPorts
    grpc: Mapping[str, int]
    metrics: Mapping[str, int]
    http: int


@dataclass(frozen=True)
class Stack:
    """A stack ready to be started: its processes and how to reach them."""

    units: tuple[Unit, ...]
    addresses: Mapping[str, str]
    """Environment variables without secrets that let another process reach everything."""
    external: tuple[str, ...] = ()
    """Servers whose address the environment gives; they are not ours."""
    http_port: int | None = None
    free_ports: bool = False
    """Whether the ports were chosen now; else they are those of the table."""


def choose_ports(settings: Settings, services: Sequence[Service] = SERVICES) -> Ports:
    """The fixed ports of the table, or free ones."""
    if not settings.free_ports:
        return Ports(
            servers=SERVER_PORTS,
            grpc={service.name: service.port for service in services},
            metrics={service.name: service.metrics_port for service in services},
            http=settings.http_port or DEFAULT_HTTP_PORT,
        )
    free = pick_free(7 + 2 * len(services), hosts=[node.host for node in nodes(settings.nodes)])
    names = [service.name for service in services]
    return Ports(
        servers=ServerPorts(*free[:6]),
        http=settings.http_port or free[6],
        grpc=dict(zip(names, free[7:], strict=False)),
        metrics=dict(zip(names, free[7 + len(names) :], strict=True)),
    )


def servers_only(settings: Settings, home: Path, env: Mapping[str, str]) -> Stack:
    """The servers without any service, with their state in a home of their own."""
    ports = choose_ports(settings, ())
    units, addresses, external = _servers(settings, home, ports.servers, env)
    return Stack(units, addresses.environment(), external, free_ports=settings.free_ports)


def whole(
    settings: Settings,
    secrets: Mapping[str, str],
    env: Mapping[str, str],
    certificates: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Stack:
    """The servers that the environment does not name, and all services; each is told of its own certificate, if there are any."""
    ports = choose_ports(settings)
    servers, addresses, external = _servers(settings, settings.home, ports.servers, env)
    public = reach(settings, ports, addresses) | dict(certificates.get(OPERATOR, {}))
    given = {**env, **MALLOC, **public, **bind(ports), **secrets, "PYTHONUNBUFFERED": "1"}
    services = tuple(
        _service(service, settings.home, ports, {**given, **certificates.get(service.area, {})}, servers)
        for service in SERVICES
    )
    return Stack((*servers, *services), public, external, ports.http, settings.free_ports)


def reach(settings: Settings, ports: Ports, addresses: Addresses) -> dict[str, str]:
    """What a caller of the stack needs to know: namespace, servers and AVIARY_<AREA>_ADDRESS of every service."""
    services = {f"AVIARY_{service.variable}_ADDRESS": f"{HOST}:{ports.grpc[service.name]}" for service in SERVICES}
    return {
        "AVIARY_NAMESPACE": settings.namespace,
        **addresses.environment(),
        **services,
        "AVIARY_VIEW_ADDRESS": f"{HOST}:{ports.grpc[EDGE]}",
        "AVIARY_HTTP_PORT": str(ports.http),
    }


def bind(ports: Ports) -> dict[str, str]:
    """Where each service listens: AVIARY_<AREA>_PORT for gRPC, AVIARY_<AREA>_METRICS_PORT for its health."""
    pairs = {}
    for service in SERVICES:
        pairs[f"AVIARY_{service.variable}_PORT"] = str(ports.grpc[service.name])
        pairs[f"AVIARY_{service.variable}_METRICS_PORT"] = str(ports.metrics[service.name])
    return pairs


def probe_readyz(port: int) -> Probe:
    """Ready when GET /readyz on that port is 200; otherwise the reason is the first line of what it says."""

    def probe() -> str | None:
        try:
            with _NO_PROXY.open(f"http://{HOST}:{port}/readyz", timeout=2.0):
                return None
        except urllib.error.HTTPError as error:
            text = error.read(300).decode("utf-8", "replace").strip()
            return f"/readyz answers {error.code}: {text.splitlines()[0] if text else 'no reason'}"
        except OSError as error:
            return f"no connection ({error})"
        except HTTPException as error:
            # Somebody else has the port, who speaks something else: our process says so when it cannot listen.
            return f"no HTTP there ({error!r})"

    return probe


def _servers(
    settings: Settings, home: Path, ports: ServerPorts, env: Mapping[str, str]
) -> tuple[tuple[Unit, ...], Addresses, tuple[str, ...]]:
    """The servers to start, where all three are, and which are not ours."""
    given = given_addresses(env)
    own = programs(home, ports, settings.cassandra, given, settings.nodes)
    units = tuple(Unit(program, Role.SERVER) for of_one in own.values() for program in of_one)
    return units, merge(ports.addresses(settings.nodes), given), tuple(given)


def _service(service: Service, home: Path, ports: Ports, env: Mapping[str, str], servers: Sequence[Unit]) -> Unit:
    """A service as a unit; it waits for every node of the servers it needs."""
    own = {"grpc": ports.grpc[service.name], "metrics": ports.metrics[service.name]}
    program = Program(
        name=service.name,
        command=(sys.executable, "-m", f"{service.name}.server"),
        env=env,
        workdir=ROOT,
        log=home / "logs" / f"{service.name}.log",
        ports={**own, "http": ports.http} if service.name == EDGE else own,
        probe=probe_readyz(own["metrics"]),
        ping=Ping(own["metrics"], b"GET /healthz HTTP/1.1\r\nhost: aviary\r\nconnection: close\r\n\r\n", "/healthz"),
        stop_grace_s=15.0,
    )
    started = [server.program.name for server in servers]
    return Unit(program, Role.SERVICE, tuple(name for name in started if parse(name)[0] in service.needs))
