"""The supervisor and the faults of a machine: what hangs, crashes again and again, finds its port taken or its disk full."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops import down, ps, running
from ops.serve import Plan, serve
from ops.topology import Stack
from stack.errors import StackError
from tests.integration.disks import disk
from tests.integration.supervised import PATIENCE_S, Fake, one, supervised, until


def halt(fake: Fake, name: str) -> int:
    """SIGSTOP a program; its pid."""
    pid = int(fake.child(name).pid)
    os.kill(pid, signal.SIGSTOP)
    return pid


def listed(fake: Fake, name: str) -> dict[str, Any]:
    """What `aviary ps --json` says of it."""
    return {row["name"]: row for row in ps.look(running.load(fake.home))}[name]


def test_what_hangs_is_killed_and_started_again_loudly_and_what_is_only_unready_is_left(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with (
        supervised(home, one("alpha"), one("beta"), hung_s=1.5) as fake,
        supervised(tmp_path / "other", one("gamma"), hung_s=0) as other,
    ):
        fake.ready()
        other.ready()
        (home / "beta-unready").touch()
        beta, gamma = fake.child("beta").pid, halt(other, "gamma")
        for _ in range(2):
            fake.again("alpha", halt(fake, "alpha"))
        row = listed(fake, "alpha")
        assert row["restarts"] == 2
        assert row["last_end"] == "signal SIGKILL (it hung: no answer to /healthz for 2 s)"
        assert row["last_end_at"] is not None
        assert "hung: no answer to /healthz for 2 s; killed" in fake.journal()
        assert listed(fake, "beta")["state"] == "unready"
        assert fake.child("beta").pid == beta
        # Nobody wants to know there.
        assert psutil.Process(gamma).status() == psutil.STATUS_STOPPED


def test_a_crash_is_told_with_its_exit_code_and_its_log_is_kept(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha")) as fake:
        fake.ready()
        pid = fake.child("alpha").pid
        fake.tell("alpha", "crash")
        fake.again("alpha", pid)
        fake.tell("alpha", "say")
        assert listed(fake, "alpha")["last_end"] == "exit code 7"
        lines = (fake.home / "logs" / "alpha.log").read_text(encoding="ascii").splitlines()
        assert (lines[0], lines[-1]) == ("these are the last words", "line 999 of many")


def test_giving_up_shows_the_last_words_and_stops_the_others_in_order(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("db", role="server"), one("alpha"), one("beta")) as fake:
        fake.ready()
        for _ in range(4):
            until(lambda: fake.process.poll() is not None or fake.child("alpha").state == "ready", "it is ready again")
            pid = fake.child("alpha").pid
            fake.tell("alpha", "crash")
            until(lambda pid=pid: fake.process.poll() is not None or fake.child("alpha").pid != pid, "it is noticed")
        code, said = fake.finish()
        assert code == 1
        assert said.splitlines()[-1].startswith("aviary: alpha ended 4 times, at last with exit code 7: mend what")
        assert said.splitlines()[-2] == "these are the last words"
        assert (fake.home / "left").read_text(encoding="ascii").split() == ["beta", "db"]
        assert "gave up: alpha ended 4 times" in fake.journal()


def test_a_port_taken_while_a_program_was_dead_is_named_and_waited_for(tmp_path: Path) -> None:
    alpha = one("alpha")
    with supervised(tmp_path / "h", alpha, first_s=0.5) as fake, socket.socket() as foreigner:
        fake.ready()
        foreigner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        pid = fake.child("alpha").pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: taken(foreigner, alpha["port"]), "the port is ours")
        # More often than a failure would be forgiven: this is none.
        until(lambda: fake.journal().count("cannot be started: port") > 5, "it is told again and again")
        row = listed(fake, "alpha")
        assert (row["state"], row["restarts"]) == ("blocked", 1)
        assert f"port {alpha['port']} (metrics) is in use by " in row["reason"]
        assert f"(pid {os.getpid()}): stop what listens there" in row["reason"]
        foreigner.close()
        assert fake.again("alpha", pid).reason == ""


def taken(listener: socket.socket, port: int) -> bool:
    """Whether the port could be had."""
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        return False
    listener.listen(1)
    return True


def test_a_program_without_room_is_not_started_until_there_is_some(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with disk(home / "alpha", "8m") as small, supervised(home, one("alpha", room_mb=4)) as fake:
        fake.ready()
        small.fill()
        pid = halt(fake, "alpha")
        os.kill(pid, signal.SIGKILL)
        until(lambda: fake.journal().count("cannot be started: only 0 MB") > 5, "it is told again and again")
        assert f"only 0 MB are free in {home / 'alpha'}, it needs 4" in listed(fake, "alpha")["reason"]
        small.free()
        fake.again("alpha", pid)


def test_a_hung_program_without_room_is_left_until_it_could_be_started_again(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with disk(home / "alpha", "8m") as small, supervised(home, one("alpha", room_mb=4), one("beta"), hung_s=1) as fake:
        fake.ready()
        small.fill()
        alpha = halt(fake, "alpha")
        for _ in range(2):
            fake.again("beta", halt(fake, "beta"))
        assert fake.child("alpha").pid == alpha
        small.free()
        fake.again("alpha", alpha)


def told_until(fake: Fake, wanted: str) -> str:
    """What the supervisor tells its terminal up to a line like that."""
    assert fake.process.stderr is not None
    told = ""
    while not re.search(wanted, told):
        line = fake.process.stderr.readline()
        assert line, told
        told += line
    return told


def use_up_its_page(log: Path) -> None:
    """On a full disk a file can still grow to the end of its last page."""
    with log.open("ab") as file:
        file.write(b" " * (-file.tell() % 4096 - 1) + b"\n")


def test_a_full_disk_of_the_logs_and_the_state_ends_nothing_and_is_caught_up_with(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with disk(home, "2g") as small, supervised(home, one("alpha"), one("beta")) as fake:
        fake.ready()
        small.shrink("4m")
        small.fill()
        use_up_its_page(home / "logs" / "supervisor.log")
        beta, alpha = psutil.Process(fake.child("beta").pid), fake.child("alpha").pid
        fake.tell("beta", "say")
        os.kill(alpha, signal.SIGKILL)
        # Nothing on the disk tells of it.
        told = told_until(fake, "alpha .* ended with signal SIGKILL") + told_until(fake, "alpha .* ready after")
        small.free()
        assert fake.again("alpha", alpha).restarts == 1
        fake.tell("beta", "say")
        assert beta.is_running()
        assert (home / "logs" / "beta.log").read_text(encoding="ascii").endswith("line 999 of many\n")
        fake.process.terminate()
        assert fake.finish()[0] == 0
        assert f"cannot write {home / 'run.json'} (No space left on device): make room" in told


def test_logs_are_cut_while_they_are_written(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha"), log_mb=0.01) as fake:
        fake.ready()
        log = fake.home / "logs" / "alpha.log"
        for _ in range(2):
            fake.tell("alpha", "say")
            until(lambda: log.stat().st_size == 0, "the log is cut")
        assert log.with_name("alpha.log.1").stat().st_size < 40_000
        assert fake.child("alpha").restarts == 0


def test_logs_are_followed_and_may_be_cut_off_by_their_reader(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha")) as fake:
        fake.ready()
        command = [sys.executable, "-m", "ops.cli", "logs"]
        options = {"env": {**os.environ, "AVIARY_HOME": str(fake.home)}, "text": True, "stdout": subprocess.PIPE}
        # Who runs in the background, as these tests may, ignores Ctrl-C, and so does what it starts.
        heeding = ("env", "--default-signal=INT")
        with subprocess.Popen([*heeding, *command, "--follow"], **options) as follower:
            assert follower.stdout is not None
            assert "supervisor   INFO" in follower.stdout.readline()
            fake.tell("alpha", "say")
            while "line 999 of many" not in follower.stdout.readline():
                assert follower.poll() is None
            follower.send_signal(signal.SIGINT)
            assert follower.wait(PATIENCE_S) == 130
        for _ in range(10):
            fake.tell("alpha", "say")
        with subprocess.Popen(command, stderr=subprocess.PIPE, **options) as reader:
            assert reader.stdout is not None and reader.stderr is not None
            reader.stdout.readline()
            reader.stdout.close()
            assert (reader.wait(PATIENCE_S), reader.stderr.read()) == (0, "")


def test_down_does_not_wait_for_a_halted_program_or_a_halted_supervisor(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha")) as fake:
        fake.ready()
        halt(fake, "alpha")
        fake.process.send_signal(signal.SIGSTOP)
        assert down.stop(fake.home) == 0
        # It was asked and left by itself; a kill would have left no word.
        assert (fake.home / "left").read_text(encoding="ascii").split() == ["alpha"]


def test_killing_the_supervisor_ends_a_halted_program_too(tmp_path: Path) -> None:
    with supervised(tmp_path / "h", one("alpha")) as fake:
        fake.ready()
        alpha = psutil.Process(halt(fake, "alpha"))
        fake.process.kill()
        assert psutil.wait_procs([alpha], PATIENCE_S)[1] == []


def start(home: Path) -> None:
    """Start an empty stack in this process; it never comes to that."""
    serve(Plan(home, "fake", lambda: Stack((), {}), lambda _: []))


def test_a_home_that_is_full_or_read_only_is_one_line_that_names_it(tmp_path: Path) -> None:
    with disk(tmp_path / "h", "64k") as small:
        small.fill()
        with pytest.raises(StackError, match=rf"{tmp_path / 'h'}.*No space left.*make room") as full:
            start(tmp_path / "h")
        assert "\n" not in full.value.line
        small.free()
        with pytest.raises(StackError, match=r"only 0 MB are free .* make room, or set AVIARY_HOME"):
            start(tmp_path / "h")
        small.forbid_writing()
        with pytest.raises(StackError, match=rf"cannot write to {tmp_path / 'h'}.* \(Read-only file system\)"):
            start(tmp_path / "h")


def test_a_home_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "h").touch()
    with pytest.raises(StackError, match=rf"cannot write to {tmp_path / 'h'} \(File exists\).*AVIARY_HOME"):
        start(tmp_path / "h")
