"""Configuration from the environment into frozen values; the only module, beside each service's config.py, that names variables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class ConfigError(Exception):
    """The environment lacks something or holds nonsense; the text names every such variable at once."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Bytes that must not be printed."""

    value: bytes = field(repr=False)


class Env:
    """Reads variables and remembers everything that is wrong, so that one start names all of it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """A text; without a default it must be there."""
        return self._read(name, default, str, "")

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number of at least 0."""
        return self._read(name, default, _natural, 0)

    def secret(self, name: str) -> Secret:
        """Hexadecimal bytes, at least 32; secrets have no default."""
        return self._read(name, None, _secret, Secret(b""))

    def parsed(self, name: str, parse: Callable[[str], T], empty: T, default: T | None = None) -> T:
        """Whatever `parse` makes of the text; ValueError of it is reported with the name. `empty` stands in until `done`."""
        return self._read(name, default, parse, empty)

    def done(self) -> None:
        """Raise ConfigError when anything was missing or malformed."""
        if self._problems:
            raise ConfigError("; ".join(self._problems))

    def _read(self, name: str, default: T | None, parse: Callable[[str], T], empty: T) -> T:
        raw = self._values.get(name)
        if raw is None or raw == "":
            if default is None:
                self._problems.append(f"{name} is not set")
                return empty
            return default
        try:
            return parse(raw)
        except ValueError as error:
            self._problems.append(f"{name}: {error}")
            return empty


def _natural(raw: str) -> int:
    value = int(raw)
    if value < 0:
        raise ValueError(f"{value} is less than 0")
    return value


def _secret(raw: str) -> Secret:
    try:
        value = bytes.fromhex(raw)
    except ValueError:
        raise ValueError("is not hexadecimal") from None
    if len(value) < 32:
        raise ValueError("has fewer than 32 bytes")
    return Secret(value)


MAY_ASSERT_USERS = frozenset({"edge", "engage", "graph", "timeline", "tweet", "seed", "audit"})
"""Services that call others on behalf of users today. Only certificates can hold somebody to it."""


@dataclass(frozen=True)
class TlsConfig:
    """Files (PEM) that prove who a process is and whom it believes, and who may speak for users."""

    cert: Path
    key: Path
    ca: Path
    may_assert_users: frozenset[str] = MAY_ASSERT_USERS

    @staticmethod
    def read(env: Env) -> "TlsConfig | None":
        """All three files or none: None is a mesh without TLS."""
        names = ("AVIARY_TLS_CERT", "AVIARY_TLS_KEY", "AVIARY_TLS_CA")
        may = env.parsed("AVIARY_MESH_MAY_ASSERT_USERS", _names, frozenset(), MAY_ASSERT_USERS)
        if not any(env.text(name, "") for name in names):
            return None
        cert, key, ca = (env.parsed(name, _readable, Path()) for name in names)
        return TlsConfig(cert, key, ca, may)


@dataclass(frozen=True)
class MeshConfig:
    """What every process of the mesh is told."""

    area: str
    namespace: str
    host: str
    port: int
    metrics_port: int
    cql_contact_points: tuple[tuple[str, int], ...]
    cql_datacenter: str
    cql_replication: int
    redis_url: str
    nats_urls: tuple[str, ...]
    mesh_key: Secret
    fault_dir: str
    tls: TlsConfig | None = None
    max_calls: int = 1000
    """Calls at work at once in a process; ordinary ones are refused at 80 % of it."""
    nats_replicas: int = 1
    nats_stream_messages: int = 10_000_000
    nats_ack_wait_s: int = 30
    outbox_relay_ages_s: tuple[float, ...] = (15, 60, 900)

    @staticmethod
    def read(area: str, env: Env) -> "MeshConfig":
        """Read the variables of one process of `area` (user, graph ...); the caller calls `env.done()` when it has read its own."""
        upper = area.upper()
        return MeshConfig(
            area=area,
            namespace=env.text("AVIARY_NAMESPACE", "aviary"),
            host=env.text("AVIARY_HOST", "127.0.0.1"),
            port=env.number(f"AVIARY_{upper}_PORT"),
            metrics_port=env.number(f"AVIARY_{upper}_METRICS_PORT"),
            cql_contact_points=env.parsed("AVIARY_CQL_CONTACT_POINTS", _contact_points, ()),
            cql_datacenter=env.text("AVIARY_CQL_DATACENTER", "datacenter1"),
            cql_replication=env.number("AVIARY_CQL_REPLICATION", 1),
            redis_url=env.text("AVIARY_REDIS_URL"),
            nats_urls=env.parsed("AVIARY_NATS_URL", lambda raw: tuple(raw.split(",")), ()),
            mesh_key=env.secret("AVIARY_MESH_KEY"),
            fault_dir=env.text("AVIARY_FAULT_DIR", ""),
            tls=TlsConfig.read(env),
            max_calls=env.number("AVIARY_MAX_CALLS", 1000),
            nats_replicas=env.number("AVIARY_NATS_REPLICAS", 1),
            nats_stream_messages=env.number("AVIARY_NATS_STREAM_MESSAGES", 10_000_000),
            nats_ack_wait_s=env.number("AVIARY_NATS_ACK_WAIT_S", 30),
            outbox_relay_ages_s=env.parsed("AVIARY_OUTBOX_RELAY_AGES_S", _rising, (), (15.0, 60.0, 900.0)),
        )


def address(env: Env, area: str) -> str:
    """Where the rpcs of `area` are served: `host:port` or a DNS name that resolves to several addresses (`dns:///…`)."""
    return env.text(f"AVIARY_{area.upper()}_ADDRESS")


def _names(raw: str) -> frozenset[str]:
    return frozenset(name.strip() for name in raw.split(",") if name.strip())


def _readable(raw: str) -> Path:
    path = Path(raw)
    try:
        path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {raw} ({error.strerror})") from None
    return path


def _rising(raw: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in raw.split(","))
    if list(values) != sorted(set(values)) or values[0] <= 0:
        raise ValueError(f"{raw!r} is not a rising list of seconds")
    return values


def _contact_points(raw: str) -> tuple[tuple[str, int], ...]:
    points = []
    for point in raw.split(","):
        host, colon, port = point.strip().rpartition(":")
        if not colon or not port.isdigit():
            raise ValueError(f"{point!r} is not host:port")
        points.append((host, int(port)))
    return tuple(points)
