"""What a process of svc_engage is told; the only module of the service that names variables."""

from collections.abc import Mapping
from dataclasses import dataclass

from cursors import parse_keys
from runtime.config import Env, MeshConfig, Secret, address
from svc_engage.domain.levels import Levels


@dataclass(frozen=True)
class Config:
    """Configuration of svc_engage."""

    mesh: MeshConfig
    tweet_address: str
    graph_address: str
    user_address: str
    cursor_keys: dict[int, Secret]
    known_tweets: int
    known_accounts: int
    levels: Levels

    @staticmethod
    def from_env(values: Mapping[str, str]) -> "Config":
        """Read the environment. Raises ConfigError that names everything missing or malformed."""
        env = Env(values)
        usual = Levels()
        config = Config(
            mesh=MeshConfig.read("engage", env),
            tweet_address=address(env, "tweet"),
            graph_address=address(env, "graph"),
            user_address=address(env, "user"),
            cursor_keys=env.parsed("AVIARY_CURSOR_KEYS", parse_keys, {}),
            known_tweets=env.number("AVIARY_ENGAGE_KNOWN_TWEETS", 200_000),
            known_accounts=env.number("AVIARY_ENGAGE_KNOWN_ACCOUNTS", 100_000),
            levels=env.parsed("AVIARY_ENGAGE_LEVELS", _levels, usual, usual),
        )
        env.done()
        return config


def _levels(raw: str) -> Levels:
    first, second = (int(part) for part in raw.split(","))
    if not 0 < first < second:
        raise ValueError(f"{raw!r} is not two rising counts")
    return Levels((first, second))
