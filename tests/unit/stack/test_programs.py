"""What the three servers are started with, and how a program's trouble is told."""

import json
import signal
from pathlib import Path

import pytest

from stack import cassandra, nats, redis
from stack.local import NODE_HEAP_MB, PROFILES, ServerPorts, given_addresses, merge, programs, sized
from stack.nodes import nodes, parse
from stack.process import Program, bare_environment, died, exit_text, log_tail, slow, write_configuration

PORTS = ServerPorts(cql=1, storage=2, redis=3, nats=4, nats_http=5)


def test_cassandra_syncs_every_acknowledged_row_and_listens_here_only(tmp_path: Path) -> None:
    values = cassandra.configuration(9042, 7000, tmp_path)
    assert values["commitlog_sync"] == "batch"
    assert values["listen_address"] == values["rpc_address"] == "127.0.0.1"


def test_cassandra_leaves_out_fsync_only_when_asked(tmp_path: Path) -> None:
    assert "-Dcassandra.skip_sync=false" in cassandra.command(tmp_path, [], PROFILES["run"])
    assert "-Dcassandra.skip_sync=true" in cassandra.command(tmp_path, [], PROFILES["test"])


def test_tests_stop_at_the_first_compiler_and_use_does_not(tmp_path: Path) -> None:
    assert "-XX:TieredStopAtLevel=1" in cassandra.command(tmp_path, [], PROFILES["test"])
    assert "-XX:TieredStopAtLevel=1" not in cassandra.command(tmp_path, [], PROFILES["run"])


def test_the_heap_is_as_configured(tmp_path: Path) -> None:
    command = cassandra.command(tmp_path, [], cassandra.Settings(heap_mb=777))
    assert {"-Xms777M", "-Xmx777M"} <= set(command)


def test_nats_listens_here_only_with_jetstream_in_its_folder(tmp_path: Path) -> None:
    values = json.loads(nats.settings(tmp_path, 4222, 8222))
    assert (values["listen"], values["http"]) == ("127.0.0.1:4222", "127.0.0.1:8222")
    assert values["jetstream"]["store_dir"].startswith(str(tmp_path))


def test_the_nodes_of_a_cluster_have_an_address_each_and_the_same_ports(tmp_path: Path) -> None:
    assert [node.host for node in nodes(3)] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert [parse(node.name("cassandra")) for node in nodes(3)] == [("cassandra", node.host) for node in nodes(3)]
    assert nodes(1)[0].name("nats") == "nats" and parse("nats") == ("nats", "127.0.0.1")
    assert PORTS.addresses(3).environment() == {
        "AVIARY_CQL_CONTACT_POINTS": "127.0.0.1:1,127.0.0.2:1,127.0.0.3:1",
        "AVIARY_REDIS_URL": "redis://127.0.0.1:3/0",
        "AVIARY_NATS_URL": "nats://127.0.0.1:4,nats://127.0.0.2:4,nats://127.0.0.3:4",
        "AVIARY_CQL_REPLICATION": "3",
        "AVIARY_NATS_REPLICAS": "3",
    }


def test_a_cassandra_cluster_divides_the_ring_and_any_node_may_start_first(tmp_path: Path) -> None:
    values = [cassandra.configuration(9042, 7000, tmp_path, node) for node in nodes(3)]
    assert [value["listen_address"] for value in values] == [node.host for node in nodes(3)]
    tokens = [int(str(value["initial_token"])) for value in values]
    assert [b - a for a, b in zip(tokens, [*tokens[1:], tokens[0] + 2**64], strict=True)] == [
        2**64 // 3,
        2**64 // 3,
        2**64 // 3 + 1,
    ]
    (seeds,) = {json.dumps(value["seed_provider"]) for value in values}
    assert all(f"{node.host}:7000" in seeds for node in nodes(3))


def test_a_node_that_is_away_is_found_down_within_seconds_in_a_cluster_only(tmp_path: Path) -> None:
    alone, *_ = (cassandra.command(tmp_path, [], PROFILES["run"], node) for node in nodes(1))
    in_cluster, *_ = (cassandra.command(tmp_path, [], PROFILES["run"], node) for node in nodes(3))
    assert "-Dcassandra.fd_initial_value_ms=220" in in_cluster
    assert not any("fd_initial_value" in word for word in alone)


def test_nats_nodes_know_the_others_and_tell_clients_nothing(tmp_path: Path) -> None:
    cluster = json.loads(nats.settings(tmp_path, 4222, 8222, 6222, nodes(3)[1]))["cluster"]
    assert cluster["listen"] == "127.0.0.2:6222" and cluster["no_advertise"]
    assert cluster["routes"] == ["nats://127.0.0.1:6222", "nats://127.0.0.3:6222"]
    assert "cluster" not in json.loads(nats.settings(tmp_path, 4222, 8222))


def test_nats_leaves_the_other_processors_to_others(tmp_path: Path) -> None:
    assert nats.program(tmp_path, 4222, 8222).env["GOMAXPROCS"] == "1"


def test_every_node_is_a_program_with_a_name_and_a_folder_of_its_own(tmp_path: Path) -> None:
    settings = sized(PROFILES["test"], 3)
    assert settings.heap_mb == NODE_HEAP_MB and sized(PROFILES["test"], 1) == PROFILES["test"]
    made = programs(tmp_path, PORTS, settings, without=["cassandra"], count=3)
    assert [program.name for of_one in made.values() for program in of_one] == ["nats-1", "nats-2", "nats-3", "redis"]
    assert len({program.workdir for of_one in made.values() for program in of_one}) == 4


def test_redis_keeps_nothing_over_a_restart(tmp_path: Path) -> None:
    command = " ".join(redis.program(tmp_path, 6379).command)
    assert "--save  --appendonly no" in command
    assert "--bind 127.0.0.1" in command


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=d81b8ff71cfb150e", True),
        ("Redis server v=7.0.15 sha=00000000:0 malloc=libc bits=64 build=d81b8ff71cfb150e", False),
        ("Redis server v=6.2.7 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=1", False),
        ("something else", False),
    ],
)
def test_a_redis_on_path_is_used_only_when_new_and_with_jemalloc(version: str, fits: bool) -> None:
    assert redis.is_suitable(version) is fits


def test_servers_do_not_inherit_what_would_change_a_jvm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH", "JAVA_HOME", "LD_PRELOAD"):
        monkeypatch.setenv(name, "x")
    assert set(bare_environment()) <= {"PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}


def test_given_addresses_take_the_place_of_ours() -> None:
    given = given_addresses({"AVIARY_REDIS_URL": "redis://elsewhere", "AVIARY_NATS_URL": ""})
    assert given == {"redis": "redis://elsewhere"}
    assert merge(PORTS.addresses(), given).environment() == {
        "AVIARY_CQL_CONTACT_POINTS": "127.0.0.1:1",
        "AVIARY_REDIS_URL": "redis://elsewhere",
        "AVIARY_NATS_URL": "nats://127.0.0.1:4",
    }
    assert merge(PORTS.addresses(3), {"cassandra": "theirs:9042"}).copies == {"AVIARY_NATS_REPLICAS": "3"}


def program(tmp_path: Path) -> Program:
    return Program("thing", ("true",), {}, tmp_path, tmp_path / "thing.log", {}, probe=lambda: "asleep")


def test_a_death_at_start_is_one_line_with_the_tail_of_the_log(tmp_path: Path) -> None:
    thing = program(tmp_path)
    thing.log.write_text("".join(f"line {number}\n" for number in range(100)), encoding="utf-8")
    error = died(thing, -signal.SIGSEGV)
    assert error.line.startswith("thing ended with signal SIGSEGV before it was ready")
    assert "\n" not in error.line
    assert str(thing.log) in error.line
    assert error.detail.splitlines()[-1] == "line 99"
    assert len(error.detail.splitlines()) == 25


def test_a_slow_start_names_the_reason_of_its_probe(tmp_path: Path) -> None:
    assert "asleep" in slow(program(tmp_path), "asleep").line


def test_no_start_is_given_less_than_two_minutes(tmp_path: Path) -> None:
    assert program(tmp_path).ready_timeout_s >= 120


def test_a_missing_log_has_an_empty_tail(tmp_path: Path) -> None:
    assert log_tail(tmp_path / "none.log") == ""


def test_return_codes_read_as_words() -> None:
    assert exit_text(3) == "exit code 3"
    assert exit_text(-9) == "signal SIGKILL"


def test_cassandra_ends_when_it_cannot_write_and_acknowledges_nothing_any_more(tmp_path: Path) -> None:
    values = cassandra.configuration(9042, 7000, tmp_path)
    assert values["disk_failure_policy"] == values["commit_failure_policy"] == "die"


def test_cassandra_may_be_silent_longer_and_needs_room(tmp_path: Path) -> None:
    program = cassandra.program(tmp_path, 9042, 7000, PROFILES["test"])
    assert (program.patience, program.room_mb) == (6, 64)


@pytest.mark.parametrize(
    ("answer", "shut"),
    [
        (b'HTTP/1.0 200 OK\r\n\r\n{"status":"ok"}', False),
        (
            b'HTTP/1.0 503 x\r\n\r\n{"status":"unavailable","error":"JetStream has not established contact with a meta leader"}',
            False,
        ),
        (
            b'HTTP/1.0 503 x\r\n\r\n{"status":"unavailable","error":"JetStream stream k write error: no space left on device"}',
            True,
        ),
        (b'HTTP/1.0 503 x\r\n\r\n{"status":"unavailable","error":"JetStream not enabled"}', True),
    ],
)
def test_nats_is_past_help_only_when_its_store_is_shut(tmp_path: Path, answer: bytes, shut: bool) -> None:
    ping = nats.program(tmp_path, 4222, 8222, 6222).ping
    assert ping is not None
    assert (ping.verdict(answer) is not None) is shut


def test_a_configuration_that_says_the_same_is_not_touched_and_never_half_written(tmp_path: Path) -> None:
    path = tmp_path / "nats.conf"
    write_configuration(path, "one")
    first = path.stat().st_ino
    write_configuration(path, "one")
    assert path.stat().st_ino == first
    (tmp_path / "nats.conf.new").mkdir()  # as a disk without room
    with pytest.raises(OSError, match="directory"):
        write_configuration(path, "two")
    assert path.read_text(encoding="utf-8") == "one"
