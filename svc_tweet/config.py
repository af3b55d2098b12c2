"""What a process of svc_tweet is told; the only module of the service that names variables."""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.config import Env, MeshConfig, address


@dataclass(frozen=True)
class Config:
    """Configuration of svc_tweet."""

    mesh: MeshConfig
    user_address: str

    @staticmethod
    def from_env(values: Mapping[str, str]) -> "Config":
        """Read the environment. Raises ConfigError that names everything missing or malformed."""
        env = Env(values)
        config = Config(mesh=MeshConfig.read("tweet", env), user_address=address(env, "user"))
        env.done()
        return config
