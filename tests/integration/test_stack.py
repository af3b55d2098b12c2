"""Real servers: they start, lose nothing that was acknowledged when killed, and die with their parent."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nats
import psutil
import pytest
import redis
from cassandra.cluster import Cluster, Session

from ops.state import RunRecord, is_alive
from stack import Addresses, LocalStack, StackError
from stack.process import Child, Program, tied

ROOT = Path(__file__).resolve().parents[2]
ROWS = 200
PATIENCE_S = 180.0
PR_GET_TIMERSLACK = 30


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, Addresses]]:
    """Servers of our own, because they are killed here."""
    stack = LocalStack(tmp_path_factory.mktemp("stack"), respect_environment=False)
    addresses = stack.start()
    yield stack, addresses
    stack.stop()


@contextmanager
def cql(address: str) -> Iterator[Session]:
    host, port = address.split(":")
    cluster = Cluster([host], port=int(port), protocol_version=4, token_metadata_enabled=False, executor_threads=1)
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


def make_table(session: Session, keyspace: str) -> None:
    replication = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}"
    session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {replication}")
    session.execute(f"CREATE TABLE {keyspace}.rows (id int PRIMARY KEY, text text)")


def count(session: Session, keyspace: str) -> int:
    return len(list(session.execute(f"SELECT id FROM {keyspace}.rows")))


def test_acknowledged_rows_survive_the_killing_of_cassandra(local: tuple[LocalStack, Addresses]) -> None:
    stack, addresses = local
    with cql(addresses.cql) as session:
        make_table(session, "killed")
        insert = session.prepare("INSERT INTO killed.rows (id, text) VALUES (?, 'x')")
        for number in range(ROWS):
            session.execute(insert, (number,))
        stack.kill("cassandra")
    stack.restart("cassandra")
    with cql(addresses.cql) as session:
        assert count(session, "killed") == ROWS


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere timers are as they are")
@pytest.mark.parametrize(("coarse", "slack"), [(True, 1_000_000), (False, None)])
def test_short_sleeps_of_a_program_end_late_where_that_is_wanted_and_nowhere_else(
    coarse: bool, slack: int | None
) -> None:
    """What a process is told its threads have, too; asked by itself, since only root may look into others."""
    ask = [sys.executable, "-c", f"import ctypes; print(ctypes.CDLL(None).prctl({PR_GET_TIMERSLACK}, 0, 0, 0, 0))"]
    said = subprocess.run(tied(ask, coarse_timers=coarse), capture_output=True, text=True, check=True).stdout
    here = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert int(said) == (slack or int(here))


def test_cassandras_workers_sleep_so(local: tuple[LocalStack, Addresses]) -> None:
    """They sleep 10 us at a time while anything is being done, and look for more."""
    stack, _ = local
    assert stack.children["cassandra"].program.coarse_timers


async def test_acknowledged_messages_survive_the_killing_of_nats(local: tuple[LocalStack, Addresses]) -> None:
    stack, addresses = local
    client = await nats.connect(addresses.nats)
    await client.jetstream().add_stream(name="kept", subjects=["kept.>"])
    for number in range(ROWS):
        await client.jetstream().publish("kept.x", str(number).encode())
    stack.kill("nats")
    stack.restart("nats")
    await client.close()
    client = await nats.connect(addresses.nats)
    info = await client.jetstream().stream_info("kept")
    await client.close()
    assert info.state.messages == ROWS


def test_redis_comes_back_empty(local: tuple[LocalStack, Addresses]) -> None:
    stack, addresses = local
    with redis.Redis.from_url(addresses.redis) as client:
        client.set("window", "x")
    stack.restart("redis")
    with redis.Redis.from_url(addresses.redis) as client:
        assert client.dbsize() == 0


def test_servers_die_with_the_process_that_started_them_and_the_next_start_finds_all_rows_at_other_ports(
    tmp_path: Path,
) -> None:
    script = (
        "import signal, sys; from pathlib import Path; from stack import LocalStack;"
        "s = LocalStack(Path(sys.argv[1]), respect_environment=False); print(s.start().cql);"
        "print(*[c.process.pid for c in s.children.values()], flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        first = parent.stdout.readline().strip()
        servers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        with cql(first) as session:
            make_table(session, "moved")
            session.execute("INSERT INTO moved.rows (id, text) VALUES (1, 'x')")
        parent.kill()
        gone, alive = psutil.wait_procs(servers, PATIENCE_S)
    assert (len(gone), alive) == (3, [])
    with LocalStack(tmp_path, respect_environment=False) as addresses, cql(addresses.cql) as session:
        assert addresses.cql != first
        assert count(session, "moved") == 1


def test_a_server_that_dies_at_start_says_so_with_its_log(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('cannot read the config')")
    program = Program("thing", command, {}, tmp_path, tmp_path / "thing.log", {}, probe=lambda: "not there")
    child = Child.start(program)
    with pytest.raises(StackError, match="thing ended with exit code 1 before it was ready") as caught:
        child.wait_ready()
    assert "cannot read the config" in caught.value.detail


@contextmanager
def command(tmp_path: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """The environment of an `aviary stack` in its own home, which is stopped at the end."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AVIARY_")}
    env = {**ours, "AVIARY_HOME": str(tmp_path), "AVIARY_PORTS": "free", "AVIARY_CASSANDRA_HEAP_MB": "384"}
    env |= {"AVIARY_CASSANDRA_SKIP_SYNC": "1", "AVIARY_CASSANDRA_QUICK_COMPILER": "1"}
    try:
        yield env, tmp_path / "stack"
    finally:
        aviary(env, "stack", "down")


def aviary(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "ops.cli", *words]
    return subprocess.run(call, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_the_command_runs_lists_restarts_and_stops_the_servers(tmp_path: Path) -> None:
    with command(tmp_path) as (env, home):
        started = aviary(env, "stack", "up", "--detach")
        assert started.returncode == 0, started.stdout
        exports = [line for line in started.stdout.splitlines() if line.startswith("export AVIARY_")]
        assert len(exports) == 3
        rows = {row["name"]: row for row in json.loads(aviary(env, "stack", "ps", "--json").stdout)}
        assert {name for name, row in rows.items() if row["state"] == "ready"} == {
            *("supervisor", "cassandra", "nats", "redis")
        }

        refused = aviary(env, "stack", "up")
        assert refused.returncode == 1
        assert "already running" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1

        os.kill(rows["redis"]["pid"], signal.SIGKILL)
        wait_restarted(home, "redis", rows["redis"]["pid"])

        record = RunRecord.read(home)
        assert aviary(env, "stack", "down").returncode == 0
        assert record is not None
        assert not any(is_alive(process.pid, process.started) for process in record.processes)


def wait_restarted(home: Path, name: str, old_pid: int) -> None:
    """Wait until a process of the stack is ready under another pid."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        record = RunRecord.read(home)
        now = {process.name: process for process in record.processes}[name] if record else None
        if now is not None and now.state == "ready" and now.pid != old_pid:
            return
        time.sleep(0.02)
    raise AssertionError(f"{name} did not come back")


def test_a_server_the_environment_names_is_not_started(tmp_path: Path) -> None:
    with command(tmp_path) as (env, _home):
        env |= {"AVIARY_CQL_CONTACT_POINTS": "db.example:9042", "AVIARY_NATS_URL": "nats://bus.example"}
        started = aviary(env, "stack", "up", "--detach")
        assert "export AVIARY_CQL_CONTACT_POINTS=db.example:9042" in started.stdout
        rows = {row["name"]: row["state"] for row in json.loads(aviary(env, "stack", "ps", "--json").stdout)}
        assert rows == {"supervisor": "ready", "cassandra": "external", "nats": "external", "redis": "ready"}
