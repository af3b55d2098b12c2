"""The supervisor over real processes: fake programs that serve /readyz, started, killed and stopped in every way."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ops import down, running
from ops.serve import check_ports
from ops.settings import Settings
from ops.state import is_alive
from ops.topology import Role, Stack, Unit, whole
from stack.errors import StackError
from stack.ports import is_free, pick_free
from stack.process import Program
from tests.integration.supervised import PATIENCE_S, one, supervised, until


def test_a_killed_service_is_started_again(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha")) as fake:
        fake.ready()
        first = fake.child("alpha").pid
        os.kill(first, signal.SIGKILL)
        until(lambda: fake.child("alpha").restarts == 1 and fake.child("alpha").state == "ready", "it is back")
        assert fake.child("alpha").pid != first


def test_killing_the_supervisor_leaves_no_process(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("db", role="server"), one("alpha", needs=["db"])) as fake:
        children = [psutil.Process(process.pid) for process in fake.ready().processes]
        fake.process.kill()
        gone, alive = psutil.wait_procs(children, PATIENCE_S)
        assert (len(gone), alive) == (2, [])


def test_after_a_killed_supervisor_the_next_one_takes_over(tmp_path: Path) -> None:
    alpha = one("alpha")
    with supervised(tmp_path / "h", alpha) as fake:
        fake.ready()
        fake.process.kill()
        fake.process.wait()
        with supervised(tmp_path / "h", alpha) as second:
            second.ready()
            assert running.load(tmp_path / "h").pid == second.process.pid


def test_a_second_supervisor_in_one_home_is_refused_in_one_line(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha")) as fake:
        fake.ready()
        with supervised(tmp_path / "h", one("alpha")) as second:
            code, said = second.finish()
        assert code == 1
        assert len(said.splitlines()) == 1
        assert f"pid {fake.process.pid}" in said
        assert fake.process.poll() is None
        assert is_alive(fake.child("alpha").pid, fake.child("alpha").started)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_services_before_servers_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with supervised(tmp_path / "h", one("db", role="server"), one("alpha", needs=["db"])) as fake:
        children = [psutil.Process(process.pid) for process in fake.ready().processes]
        fake.process.send_signal(number)
        code, _ = fake.finish()
        assert code == 0
        assert (tmp_path / "h" / "left").read_text(encoding="ascii").split() == ["alpha", "db"]
        assert not any(child.is_running() for child in children)


def test_a_service_starts_only_after_the_servers_it_needs(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha", needs=["db"]), one("db", role="server")) as fake:
        fake.ready()
        assert (tmp_path / "h" / "came").read_text(encoding="ascii").split() == ["db", "alpha"]


def test_a_program_deaf_to_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("deaf", script="ignores")) as fake:
        fake.ready()
        pid = fake.child("deaf").pid
        fake.process.terminate()
        assert fake.finish()[0] == 0
        assert not psutil.pid_exists(pid)


def test_a_second_signal_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with supervised(home, one("slow", script="hangs")) as fake:
        fake.ready()
        fake.process.terminate()
        until((home / "left").exists, "the program was asked to leave")
        fake.process.terminate()
        assert fake.finish()[0] == 0


def test_down_waits_until_all_is_gone(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha")) as fake:
        children = [psutil.Process(process.pid) for process in fake.ready().processes]
        assert down.stop(tmp_path / "h") == 0
        assert not any(child.is_running() for child in children)


def test_a_server_that_dies_at_start_ends_all_with_one_line_and_its_log(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha"), one("db", role="server", script="fails")) as fake:
        code, said = fake.finish()
        assert code == 1
        assert said.splitlines()[-1].startswith("aviary: db ended with exit code 3 before it was ready")
        assert "the config is wrong in line 7" in said
        assert not any(psutil.pid_exists(pid) for pid in fake.pids())


def test_a_service_that_keeps_ending_is_given_up_loudly(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("db", role="server"), one("alpha")) as fake:
        fake.ready()
        while fake.process.poll() is None:
            alpha = fake.child("alpha")
            if alpha.state == "ready" and alpha.pid:
                psutil.Process(alpha.pid).kill()
            until(lambda seen=alpha: fake.process.poll() is not None or fake.child("alpha") != seen, "it is noticed")
        code, said = fake.finish()
        assert code == 1
        assert "aviary: alpha ended 4 times, at last with signal SIGKILL" in said.splitlines()[-1]


def test_a_port_in_use_is_one_line_that_names_it_and_the_way_out(tmp_path: Path) -> None:
    alpha = one("alpha")
    with supervised(tmp_path / "first", alpha) as fake:
        fake.ready()
        with supervised(tmp_path / "second", alpha) as second:
            code, said = second.finish()
    assert code == 1
    assert len(said.splitlines()) == 1
    assert f"port {alpha['port']} (alpha, metrics) is in use" in said
    assert "AVIARY_PORTS=free" in said


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The whole stack on free ports, not started."""
    settings = Settings.from_env({"AVIARY_HOME": str(tmp_path_factory.mktemp("h")), "AVIARY_PORTS": "free"})
    return whole(settings, {}, {})


def test_each_port_of_each_unit_in_use_is_named_with_who_has_it(stack: Stack) -> None:
    for unit in stack.units:
        for kind, port in unit.program.ports.items():
            line = (
                rf"port {port} \({unit.program.name}, {kind}\) is in use by .* \(pid {os.getpid()}\): stop what listens"
            )
            with socket.create_server(("127.0.0.1", port)), pytest.raises(StackError, match=line) as caught:
                check_ports(stack)
            # They are free ports already.
            assert "AVIARY_PORTS" not in caught.value.line


def test_fixed_ports_in_use_can_be_avoided_by_free_ones_and_the_public_one_by_its_setting(stack: Stack) -> None:
    fixed = replace(stack, free_ports=False)
    edge = stack.units[-1].program.ports
    for kind, way in (
        ("http", "set AVIARY_HTTP_PORT=… to another port, or AVIARY_PORTS=free"),
        ("grpc", "set AVIARY_PORTS=free"),
    ):
        with socket.create_server(("127.0.0.1", edge[kind])), pytest.raises(StackError, match=rf"there, or {way}$"):
            check_ports(fixed)


def test_a_public_port_that_a_service_uses_is_named(tmp_path: Path) -> None:
    (port,) = pick_free(1)
    units = tuple(
        Unit(
            Program(name, ("true",), {}, tmp_path, tmp_path / "x.log", {"http": port}, probe=lambda: None), Role.SERVICE
        )
        for name in ("svc_user", "edge")
    )
    with pytest.raises(StackError, match=f"port {port} is wanted by svc_user and by edge"):
        check_ports(Stack(units, {}))


def test_what_follows_is_run_once_when_all_is_ready_and_its_failure_ends_nothing(tmp_path: Path) -> None:
    home = tmp_path / "h"
    script = f"import pathlib, sys; pathlib.Path({str(home / 'then')!r}).write_text('once'); sys.exit(4)"
    with supervised(home, one("alpha"), then=[sys.executable, "-c", script]) as fake:
        fake.ready()
        until((home / "then").exists, "the command ran")
        fake.process.terminate()
        code, said = fake.finish()
        assert code == 0
        assert "ready: all" in said


def test_what_follows_ends_with_the_supervisor(tmp_path: Path) -> None:
    home = tmp_path / "h"
    script = (
        f"import os, pathlib, signal; pathlib.Path({str(home / 'then')!r}).write_text(str(os.getpid())); signal.pause()"
    )
    with supervised(home, one("alpha"), then=[sys.executable, "-c", script]) as fake:
        fake.ready()
        until(lambda: (home / "then").exists() and (home / "then").read_text() != "", "the command runs")
        follower = psutil.Process(int((home / "then").read_text()))
        fake.process.kill()
        assert psutil.wait_procs([follower], PATIENCE_S)[1] == []


def test_a_port_that_another_process_chose_is_not_chosen_though_nothing_listens_there_yet() -> None:
    mine = pick_free(5, seed=20)
    same = "from stack.ports import pick_free; print(*pick_free(5, seed=20))"
    others = subprocess.run([sys.executable, "-c", same], capture_output=True, text=True, check=True).stdout.split()
    assert len(others) == 5 and not set(map(int, others)) & set(mine)
    assert pick_free(5, seed=20) == mine


def test_free_ports_are_free_and_distinct() -> None:
    ports = pick_free(40)
    assert len(set(ports)) == 40
    assert all(map(is_free, ports))
