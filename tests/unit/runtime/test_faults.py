"""Fault points strike once, where they are armed: the own process or another; they cost nothing elsewhere."""

import os
import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from runtime.faults import Faults
faults = Faults(sys.argv[1])
for step in range(3):
    faults.at("tests.loop.step")
    print(step, flush=True)
"""


def run(folder: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_an_armed_point_kills_once_and_the_next_process_passes(tmp_path: Path) -> None:
    (tmp_path / "tests.loop.step").write_text("")
    assert run(tmp_path) == (-signal.SIGKILL, "")
    assert run(tmp_path) == (0, "0\n1\n2\n")


def test_a_number_lets_so_many_passes_go_first(tmp_path: Path) -> None:
    (tmp_path / "tests.loop.step").write_text("2")
    assert run(tmp_path) == (-signal.SIGKILL, "0\n1\n")


def test_another_process_is_dead_before_the_one_at_the_point_goes_on(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / "tests.loop.step").write_text(f"1 kill {other.pid}")
        assert run(tmp_path) == (0, "0\n1\n2\n")
        # Not waited for: it was dead, or the process would have waited ten seconds.
        assert other.poll() == -signal.SIGKILL
    assert not list(tmp_path.iterdir())


def test_another_process_is_stopped_and_can_go_on(tmp_path: Path) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        (tmp_path / "tests.loop.step").write_text(f"0 stop {other.pid}")
        assert run(tmp_path) == (0, "0\n1\n2\n")
        state = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[0]
        assert state == "T"
        os.kill(other.pid, signal.SIGCONT)
        assert other.communicate(b"goes on") == (b"goes on", None)
