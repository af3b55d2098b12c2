"""The configuration of svc_user names what is wrong and prints no secret."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from runtime.config import ConfigError
from svc_user.config import Config

GOOD = {
    "AVIARY_USER_PORT": "7001",
    "AVIARY_USER_METRICS_PORT": "9001",
    "AVIARY_CQL_CONTACT_POINTS": "127.0.0.1:9042",
    "AVIARY_REDIS_URL": "redis://127.0.0.1:6379/0",
    "AVIARY_NATS_URL": "nats://127.0.0.1:4222",
    "AVIARY_MESH_KEY": "ab" * 32,
    "AVIARY_CURSOR_KEYS": "1:" + "ba" * 32,
    "AVIARY_USER_EMAIL_KEY": "cd" * 32,
    "AVIARY_USER_REFRESH_KEY": "ef" * 32,
    "AVIARY_USER_SIGNING_KEY": base64.b64encode(
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ).decode(),
}


def test_a_complete_environment_is_read_with_the_documented_defaults() -> None:
    config = Config.from_env(GOOD)
    assert (config.access_token_s, config.claim_abandoned_s, config.session_s) == (900, 600, 90 * 86400)


def test_every_missing_name_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        Config.from_env({})
    for name in GOOD:
        assert name in str(raised.value)


def test_a_signing_key_that_is_none_is_named() -> None:
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for raw in ("x", base64.b64encode(b"no pem").decode(), base64.b64encode(other).decode()):
        with pytest.raises(ConfigError, match="AVIARY_USER_SIGNING_KEY: is not"):
            Config.from_env({**GOOD, "AVIARY_USER_SIGNING_KEY": raw})


def test_no_secret_prints() -> None:
    config = Config.from_env(GOOD)
    assert not any(part in repr(config) for part in ("abab", "cdcd", "efef", "Ed25519"))


def test_claims_cannot_be_taken_from_a_registration_that_is_merely_slow() -> None:
    assert Config.from_env({**GOOD, "AVIARY_USER_CLAIM_ABANDONED_S": "120"}).claim_abandoned_s == 120
    with pytest.raises(ConfigError, match="AVIARY_USER_CLAIM_ABANDONED_S: is less than 120"):
        Config.from_env({**GOOD, "AVIARY_USER_CLAIM_ABANDONED_S": "119"})


def test_somebody_hashes_passwords() -> None:
    assert Config.from_env(GOOD).password_processes >= 1
    with pytest.raises(ConfigError, match="AVIARY_USER_PASSWORD_PROCESSES: is less than 1"):
        Config.from_env({**GOOD, "AVIARY_USER_PASSWORD_PROCESSES": "0"})
