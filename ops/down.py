"""`aviary down`: stops what `aviary up` started. The stopping itself is done by the supervisor."""

import argparse
import contextlib
from pathlib import Path

import psutil

from ops.settings import home_folder
from ops.state import RunRecord, is_alive, supervisor_of
from stack.errors import StackError

# Longer than services and servers together may take before the supervisor kills them.
_PATIENCE_S = 60.0
_AFTER_KILL_S = 20.0


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """It has no arguments."""


def run(_arguments: argparse.Namespace) -> int:
    """Stop the stack of AVIARY_HOME."""
    return stop(home_folder())


def stop(home: Path) -> int:
    """Stop the stack of a home and wait until all of it is gone; fine when nothing runs."""
    pid = supervisor_of(home)
    if pid is None:
        print(f"nothing is running in {home}")
        return 0
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor = psutil.Process(pid)
        supervisor.terminate()
        # One that was halted could not even hear it.
        supervisor.resume()
        try:
            supervisor.wait(_PATIENCE_S)
        except psutil.TimeoutExpired:
            supervisor.kill()
            supervisor.wait(_AFTER_KILL_S)
    _wait_gone(home)
    print("stopped")
    return 0


def _wait_gone(home: Path) -> None:
    """Wait for the children of a supervisor that had to be killed."""
    record = RunRecord.read(home)
    left = [p for p in (record.processes if record else []) if is_alive(p.pid, p.started)]
    processes = []
    for child in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(child.pid))
    _gone, alive = psutil.wait_procs(processes, _AFTER_KILL_S)
    if alive:
        raise StackError(f"these processes do not end: {', '.join(str(process.pid) for process in alive)}")
