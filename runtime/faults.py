"""Named places at which a test may kill the process, to prove that a crash there loses nothing; free when not configured."""

import os
import signal
from pathlib import Path


class Faults:
    """Kills the own process (SIGKILL) at a point for which a file of that name lies in the fault folder.

    The file is removed before the kill, so that the restarted process lives. A number in the file is how many passes come first.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = Path(folder) if folder else None

    def at(self, point: str) -> None:
        """Pass the point, or die there."""
        if self._folder is None:
            return
        armed = self._folder / point
        try:
            passes = int(armed.read_text() or 0)
        except FileNotFoundError:
            return
        if passes > 0:
            armed.write_text(str(passes - 1))
            return
        armed.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


NO_FAULTS = Faults()
