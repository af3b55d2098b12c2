"""What a process of svc_user is told; the only module of the service that names variables."""

import base64
import binascii
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cursors import parse_keys
from runtime.config import Env, MeshConfig, Secret
from svc_user.domain.names import FINISH_WITHIN_MS

_DAY_S = 24 * 3600


@dataclass(frozen=True)
class Config:
    """Configuration of svc_user; durations in seconds."""

    mesh: MeshConfig
    email_key: Secret
    refresh_key: Secret
    signing_key: Ed25519PrivateKey = field(repr=False)
    cursor_keys: dict[int, Secret]
    access_token_s: int
    session_s: int
    claim_abandoned_s: int
    renames: int
    password_processes: int
    password_waiting: int

    @staticmethod
    def from_env(values: Mapping[str, str]) -> "Config":
        """Read the environment. Raises ConfigError that names everything missing or malformed."""
        env = Env(values)
        config = Config(
            mesh=MeshConfig.read("user", env),
            email_key=env.secret("AVIARY_USER_EMAIL_KEY"),
            refresh_key=env.secret("AVIARY_USER_REFRESH_KEY"),
            signing_key=env.parsed("AVIARY_USER_SIGNING_KEY", _signing_key, Ed25519PrivateKey.generate()),
            cursor_keys=env.parsed("AVIARY_CURSOR_KEYS", parse_keys, {}),
            access_token_s=env.number("AVIARY_USER_ACCESS_TOKEN_S", 15 * 60),
            session_s=env.number("AVIARY_USER_SESSION_S", 90 * _DAY_S),
            claim_abandoned_s=env.parsed("AVIARY_USER_CLAIM_ABANDONED_S", _abandoned_s, 0, 10 * 60),
            renames=env.number("AVIARY_USER_RENAMES", 3),
            password_processes=env.parsed("AVIARY_USER_PASSWORD_PROCESSES", _at_least_one, 1, _half_of_the_cores()),
            password_waiting=env.number("AVIARY_USER_PASSWORD_WAITING", 64),
        )
        env.done()
        return config


def _at_least_one(raw: str) -> int:
    if int(raw) < 1:
        raise ValueError("is less than 1: nobody could log in")
    return int(raw)


def _half_of_the_cores() -> int:
    """At least one. Hashing gives way, but what it has begun it goes on with for some ms: others then find another core."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores // 2)


def _abandoned_s(raw: str) -> int:
    least = 4 * FINISH_WITHIN_MS // 1000
    if int(raw) < least:
        raise ValueError(f"is less than {least}: a registration that is merely slow would lose its names")
    return int(raw)


def _signing_key(raw: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(base64.b64decode(raw, validate=True), password=None)
    except (binascii.Error, ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("is not base64 of a PEM private key without a password") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ValueError("is not an Ed25519 key")
