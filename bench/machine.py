"""What a result must be read with: the machine and how busy it was. Nothing here is measured of Aviary."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

from bench.cpu import MIB


@dataclass(frozen=True)
class Machine:
    """Where and when a run was made."""

    started_at: str
    cores: int
    memory_mib: int
    system: str
    python: str
    load_average: tuple[float, float, float]
    """Of the last 1, 5 and 15 minutes when the run began: what others were doing."""

    @classmethod
    def now(cls) -> "Machine":
        """This machine, at this moment."""
        return cls(
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            cores=os.cpu_count() or 1,
            memory_mib=psutil.virtual_memory().total // MIB,
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            load_average=os.getloadavg(),
        )
