"""Fault points kill the process once, where they are armed, and cost nothing elsewhere."""

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
