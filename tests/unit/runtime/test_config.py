"""Configuration names everything that is wrong at once and prints no secret."""

from pathlib import Path

import pytest

from runtime.config import ConfigError, Env, MeshConfig, TlsConfig, address

GOOD = {
    "AVIARY_TWEET_PORT": "7001",
    "AVIARY_TWEET_METRICS_PORT": "9001",
    "AVIARY_CQL_CONTACT_POINTS": "127.0.0.1:9042,127.0.0.2:9042",
    "AVIARY_REDIS_URL": "redis://127.0.0.1:6379/0",
    "AVIARY_NATS_URL": "nats://127.0.0.1:4222",
    "AVIARY_MESH_KEY": "ab" * 32,
}


def test_a_complete_environment_is_read() -> None:
    config = MeshConfig.read("tweet", Env(GOOD))
    assert config.cql_contact_points == (("127.0.0.1", 9042), ("127.0.0.2", 9042))
    assert (config.namespace, config.port) == ("aviary", 7001)


def test_everything_missing_or_malformed_is_named_at_once() -> None:
    env = Env({"AVIARY_TWEET_PORT": "many", "AVIARY_MESH_KEY": "abc", "AVIARY_CQL_CONTACT_POINTS": "nowhere"})
    MeshConfig.read("tweet", env)
    address(env, "user")
    with pytest.raises(ConfigError) as raised:
        env.done()
    for name in (
        "TWEET_PORT",
        "TWEET_METRICS_PORT",
        "CQL_CONTACT_POINTS",
        "REDIS_URL",
        "NATS_URL",
        "MESH_KEY",
        "USER_ADDRESS",
    ):
        assert f"AVIARY_{name}" in str(raised.value)


def test_secrets_do_not_print() -> None:
    assert "ab" * 4 not in repr(MeshConfig.read("tweet", Env(GOOD)))


def tls_of(**values: str) -> MeshConfig:
    env = Env({**GOOD, **values})
    config = MeshConfig.read("tweet", env)
    env.done()
    return config


def test_without_certificates_there_is_no_tls() -> None:
    assert tls_of().tls is None


def test_certificates_come_all_three_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("x")
    with pytest.raises(ConfigError) as raised:
        tls_of(AVIARY_TLS_CERT=str(tmp_path / "cert"), AVIARY_TLS_KEY=str(tmp_path / "nowhere"))
    assert "AVIARY_TLS_KEY: cannot read" in str(raised.value)
    assert "AVIARY_TLS_CA is not set" in str(raised.value)
    assert "AVIARY_TLS_CERT" not in str(raised.value)


def test_who_may_speak_for_users_is_a_list(tmp_path: Path) -> None:
    file = tmp_path / "pem"
    file.write_text("x")
    files = dict.fromkeys(("AVIARY_TLS_CERT", "AVIARY_TLS_KEY", "AVIARY_TLS_CA"), str(file))
    assert tls_of(**files).tls == TlsConfig(file, file, file)
    some = tls_of(**files, AVIARY_MESH_MAY_ASSERT_USERS="edge, seed").tls
    assert some is not None
    assert some.may_assert_users == {"edge", "seed"}
