"""The table of the stack: settings, ports, and the environment its services are given."""

import dataclasses
from pathlib import Path

import pytest

from ops.settings import Settings
from ops.topology import MALLOC, SERVER_PORTS, SERVICES, Ports, bind, choose_ports, reach
from stack.errors import StackError
from stack.ports import ephemeral_start


def fixed(**env: str) -> tuple[Settings, Ports]:
    settings = Settings.from_env({f"AVIARY_{name}": value for name, value in env.items()})
    return settings, choose_ports(settings)


def test_the_fixed_ports_are_distinct_and_below_what_connections_use() -> None:
    _, ports = fixed()
    servers = dataclasses.astuple(SERVER_PORTS)
    every = [*servers, *ports.grpc.values(), *ports.metrics.values(), ports.http]
    assert len(set(every)) == len(every)
    assert max(every) < ephemeral_start()


def test_every_service_learns_where_it_and_all_others_listen() -> None:
    settings, ports = fixed(HTTP_PORT="8181", NAMESPACE="two")
    env = {**reach(settings, ports, ports.servers.addresses()), **bind(ports)}
    assert env["AVIARY_NAMESPACE"] == "two"
    assert env["AVIARY_HTTP_PORT"] == "8181"
    assert env["AVIARY_USER_PORT"] == "7001"
    assert env["AVIARY_USER_METRICS_PORT"] == "9001"
    assert env["AVIARY_VIEW_ADDRESS"] == env["AVIARY_EDGE_ADDRESS"] == "127.0.0.1:7005"
    for service in SERVICES:
        assert env[f"AVIARY_{service.variable}_ADDRESS"] == f"127.0.0.1:{env[f'AVIARY_{service.variable}_PORT']}"
    assert {"AVIARY_CQL_CONTACT_POINTS", "AVIARY_REDIS_URL", "AVIARY_NATS_URL"} <= set(env)


def test_services_keep_large_buffers_instead_of_faulting_them_in_again() -> None:
    assert MALLOC["MALLOC_MMAP_THRESHOLD_"] == "33554432"


def test_the_home_is_absolute_and_in_the_current_folder_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.from_env({}).home == tmp_path.resolve() / ".aviary"


def test_a_cluster_is_asked_for_by_its_number_of_nodes() -> None:
    settings, _ = fixed(STACK_NODES="3")
    assert (settings.nodes, settings.cassandra.heap_mb) == (3, 256)
    assert (fixed()[0].nodes, fixed()[0].cassandra.heap_mb) == (1, 512)
    assert fixed(STACK_NODES="3", CASSANDRA_HEAP_MB="300")[0].cassandra.heap_mb == 300
    with pytest.raises(StackError, match="AVIARY_STACK_NODES=2"):
        fixed(STACK_NODES="2")


def test_all_wrong_settings_are_named_in_one_line() -> None:
    wrong = {"AVIARY_HTTP_PORT": "70000", "AVIARY_PORTS": "any", "AVIARY_NAMESPACE": "Two-Words"}
    with pytest.raises(StackError) as caught:
        Settings.from_env(wrong | {"AVIARY_CASSANDRA_HEAP_MB": "lots"})
    assert "\n" not in caught.value.line
    assert all(name in caught.value.line for name in (*wrong, "AVIARY_CASSANDRA_HEAP_MB"))


def test_what_hangs_and_what_logs_long_is_set_by_numbers_and_zero_turns_hanging_off() -> None:
    usual = Settings.from_env({})
    assert (usual.hung_s, usual.log_mb) == (10, 16)
    chosen = Settings.from_env({"AVIARY_UNIT_HUNG_S": "0", "AVIARY_LOG_MB": "3"})
    assert (chosen.hung_s, chosen.log_mb) == (0, 3)
