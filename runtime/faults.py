"""Named places at which a test may kill this process, or another one at that very moment; free when not configured."""

import os
import signal
import time
from pathlib import Path

_COMMANDS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_DEAD_WITHIN_S = 10.0


class Faults:
    """Strikes at a point for which a file of that name lies in the fault folder: `[passes] [kill PID | stop PID]`.

    So many passes come first (0 by default). Then the process dies (SIGKILL); with a command the other process is killed, or
    stopped, and this one goes on once it is. The file is removed before, so that a restarted process lives.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = Path(folder) if folder else None

    def at(self, point: str) -> None:
        """Pass the point, strike there, or die there."""
        if self._folder is None:
            return
        armed = self._folder / point
        try:
            passes, *command = armed.read_text().split() or ["0"]
        except FileNotFoundError:
            return
        if int(passes):
            armed.write_text(" ".join([str(int(passes) - 1), *command]))
            return
        armed.unlink()
        if not command:
            os.kill(os.getpid(), signal.SIGKILL)
        _strike(_COMMANDS[command[0]], int(command[1]))


def _strike(what: signal.Signals, pid: int) -> None:
    """Signal a process; return when it is dead or stopped. Raises RuntimeError after 10 s: nothing would be proven."""
    os.kill(pid, what)
    end = time.monotonic() + _DEAD_WITHIN_S
    while _state(pid) not in "TZX":
        if time.monotonic() > end:
            raise RuntimeError(f"process {pid} still runs after {what.name}")
        time.sleep(0.001)


def _state(pid: int) -> str:
    """The state letter of /proc; X, dead, when there is no such process any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


NO_FAULTS = Faults()
