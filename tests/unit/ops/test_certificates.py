"""A local stack's own certificates: everybody who may call or serve has one that fits, and nothing can be certified later."""

import stat
from pathlib import Path

import pytest

from ops.certificates import HOLDERS, make
from ops.settings import Settings
from ops.topology import OPERATOR, SERVICES, whole
from runtime.config import MAY_ASSERT_USERS, ConfigError, Env, TlsConfig
from runtime.tls import Tls
from tools.may_call import MAY_CALL


def tls_of(variables: dict[str, str]) -> TlsConfig:
    config = TlsConfig.read(Env(variables))
    assert config is not None
    return config


def test_every_holder_is_believed_to_be_what_it_holds_and_nothing_else(tmp_path: Path) -> None:
    made = make(tmp_path)
    for holder, services in HOLDERS.items():
        for service in services:
            Tls(tls_of(made[holder]), service)
        with pytest.raises(ConfigError):
            Tls(tls_of(made[holder]), "somebody")


def test_whoever_calls_or_speaks_for_users_has_a_certificate() -> None:
    names = {name for services in HOLDERS.values() for name in services}
    assert names >= set(MAY_CALL) | MAY_ASSERT_USERS | {"view"}


def test_the_files_are_the_owners_alone_and_the_key_of_the_ca_is_not_among_them(tmp_path: Path) -> None:
    make(tmp_path)
    files = list((tmp_path / "tls").iterdir())
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert {file.name for file in files} == {"ca.pem"} | {f"{h}.{k}.pem" for h in HOLDERS for k in ("cert", "key")}


def test_a_new_start_believes_nothing_of_the_last_one(tmp_path: Path) -> None:
    old = {name: Path(path).read_bytes() for name, path in make(tmp_path)["edge"].items()}
    new = make(tmp_path)["edge"]
    for name in ("AVIARY_TLS_CERT", "AVIARY_TLS_KEY"):
        Path(new[name]).write_bytes(old[name])
    with pytest.raises(ConfigError, match="of another CA"):
        Tls(tls_of(new), "edge")


def test_each_service_is_told_of_its_own_certificate_and_commands_of_the_operators(tmp_path: Path) -> None:
    external = {
        "AVIARY_CQL_CONTACT_POINTS": "127.0.0.1:1",
        "AVIARY_REDIS_URL": "redis://127.0.0.1:2",
        "AVIARY_NATS_URL": "nats://127.0.0.1:3",
    }
    made = make(tmp_path)
    settings = Settings.from_env({"AVIARY_HOME": str(tmp_path)})
    stack = whole(settings, {}, external, made)
    told = {unit.program.name: unit.program.env["AVIARY_TLS_CERT"] for unit in stack.units}
    assert told == {service.name: made[service.area]["AVIARY_TLS_CERT"] for service in SERVICES}
    assert stack.addresses["AVIARY_TLS_CERT"] == made[OPERATOR]["AVIARY_TLS_CERT"]
    assert "AVIARY_TLS_CERT" not in whole(settings, {}, external).addresses
