"""Configuration of svc_timeline, read from the environment once; no other module of the service names a variable."""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.config import Env, MeshConfig, address

_DAY_S = 24 * 3600


@dataclass(frozen=True)
class Limits:
    """How far homes reach and how much is done at once."""

    # Entries of a cached window.
    window: int = 800
    # Seconds for which a window lives unread.
    window_ttl_s: int = _DAY_S
    # Seconds for which an entry lives, from its tweet's time: how far back a home reaches.
    stored_ttl_s: int = 30 * _DAY_S
    # Followers whom one job delivers to.
    chunk: int = 1000
    # Rows of the stored home that a job writes at once: bounds what one job has in flight.
    rows_at_once: int = 500
    # Tweets of a new followee that come into the follower's home at once.
    backfill: int = 50

    @property
    def depth_ms(self) -> int:
        """How far back a home reaches, in milliseconds."""
        return self.stored_ttl_s * 1000


@dataclass(frozen=True)
class Config:
    """What svc_timeline is told."""

    mesh: MeshConfig
    graph_address: str
    tweet_address: str
    limits: Limits

    @staticmethod
    def from_env(values: Mapping[str, str]) -> "Config":
        """Read it; raises ConfigError naming every variable that is missing or wrong."""
        env = Env(values)
        usual = Limits()
        config = Config(
            mesh=MeshConfig.read("timeline", env),
            graph_address=address(env, "graph"),
            tweet_address=address(env, "tweet"),
            limits=Limits(
                window=_positive(env, "WINDOW", usual.window),
                window_ttl_s=_positive(env, "WINDOW_TTL_S", usual.window_ttl_s),
                stored_ttl_s=_positive(env, "STORED_TTL_S", usual.stored_ttl_s),
                chunk=_positive(env, "CHUNK", usual.chunk),
                rows_at_once=_positive(env, "ROWS_AT_ONCE", usual.rows_at_once),
                backfill=_positive(env, "BACKFILL", usual.backfill),
            ),
        )
        env.done()
        return config


def _positive(env: Env, name: str, default: int) -> int:
    return env.parsed(f"AVIARY_TIMELINE_{name}", _at_least_one, 1, default)


def _at_least_one(raw: str) -> int:
    value = int(raw)
    if value < 1:
        raise ValueError(f"{value} is less than 1")
    return value
