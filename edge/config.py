"""What the edge process is told; the only place in edge/ that reads the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cursors import parse_keys
from edge.addresses import Proxies, parse_proxies
from edge.auth import read_keys
from runtime.config import Env, MeshConfig, Secret, address

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")


@dataclass(frozen=True)
class EdgeConfig:
    """Addresses, keys and bounds of one edge process."""

    mesh: MeshConfig
    http_host: str
    http_port: int
    user_address: str
    graph_address: str
    tweet_address: str
    timeline_address: str
    engage_address: str
    token_keys: Mapping[str, Ed25519PublicKey]
    cors_origins: tuple[str, ...]
    """Origins of other web pages that may call the API, each `scheme://host[:port]`."""
    max_in_flight: int
    """Requests at work at once; more are answered 503, ordinary ones from 80 % of it on."""
    cursor_keys: Mapping[int, Secret]
    heartbeat_s: int
    """Seconds between two pings on a stream, at least 1."""
    trusted_proxies: Proxies
    """Networks of our own proxies: what they say in X-Forwarded-For about where a request came from is believed."""
    public_url: str
    """Where the world finds this port, `scheme://host[:port]`: the issuer of OAuth, the same for all edges."""
    public_metrics: bool
    """Whether /metrics is served on the public port, too. Not in production."""

    @staticmethod
    def from_env(values: Mapping[str, str]) -> "EdgeConfig":
        """Read everything. Raises ConfigError that names all that is missing or wrong."""
        env = Env(values)
        port = env.number("AVIARY_HTTP_PORT", 8080)
        config = EdgeConfig(
            mesh=MeshConfig.read("edge", env),
            http_host=env.text("AVIARY_HTTP_HOST", "127.0.0.1"),
            http_port=port,
            user_address=address(env, "user"),
            graph_address=address(env, "graph"),
            tweet_address=address(env, "tweet"),
            timeline_address=address(env, "timeline"),
            engage_address=address(env, "engage"),
            token_keys=env.parsed("AVIARY_TOKEN_KEYS", read_keys, {}),
            cors_origins=env.parsed("AVIARY_EDGE_CORS_ORIGINS", _origins, (), ()),
            max_in_flight=env.number("AVIARY_EDGE_MAX_IN_FLIGHT", 1000),
            cursor_keys=env.parsed("AVIARY_CURSOR_KEYS", parse_keys, {}),
            heartbeat_s=env.parsed("AVIARY_EDGE_HEARTBEAT_S", _seconds, 1, 25),
            trusted_proxies=env.parsed("AVIARY_EDGE_TRUSTED_PROXIES", parse_proxies, (), ()),
            public_url=env.parsed("AVIARY_EDGE_PUBLIC_URL", _public_url, "", f"http://127.0.0.1:{port}"),
            public_metrics=env.number("AVIARY_EDGE_PUBLIC_METRICS", 1) > 0,
        )
        env.done()
        return config


def _seconds(raw: str) -> int:
    seconds = int(raw)
    if not 1 <= seconds <= 3600:
        raise ValueError(f"{seconds} is not between 1 and 3600")
    return seconds


def _public_url(raw: str) -> str:
    local = re.fullmatch(r"http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", raw)
    if local is None and not (raw.startswith("https://") and _ORIGIN.fullmatch(raw)):
        raise ValueError(f"{raw!r} is not https://host[:port], nor http of 127.0.0.1 or localhost")
    return raw


def _origins(raw: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in raw.split(","))
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise ValueError(f"{origin!r} is not an origin such as https://example.org")
    return origins
