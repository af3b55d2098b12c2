"""CPU time and memory of processes as the kernel counts them, CPU mostly in steps of 10 ms; what they did is the callers' matter."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from ops.running import Running

MIB = 1024 * 1024


def exact_cpu_s(pid: int) -> float:
    """What the threads of a process that live have used, in the scheduler's nanoseconds."""
    stats = Path("/proc", str(pid), "task").glob("*/schedstat")
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9


class Meter:
    """Reads what a set of processes has used since they were started, each with those that it started and that have no name here."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        named = set(pids.values())
        self._processes = {
            name: [process, *(child for child in process.children() if child.pid not in named)]
            for name, process in ((name, psutil.Process(pid)) for name, pid in pids.items())
        }

    @classmethod
    def of_stack(cls, stack: Running) -> "Meter":
        """Every process of a stack, its supervisor included."""
        pids = {record.name: record.pid for record in stack.processes if record.pid is not None}
        return cls({**pids, "supervisor": stack.pid})

    def cpu_s(self) -> dict[str, float]:
        """User and system seconds of each process. Raises psutil.NoSuchProcess when one has ended."""
        times = {name: [process.cpu_times() for process in some] for name, some in self._processes.items()}
        return {name: sum(used.user + used.system for used in some) for name, some in times.items()}

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """Seconds that each process used since an earlier `cpu_s`."""
        return {name: now - before[name] for name, now in self.cpu_s().items()}

    def memory_mib(self) -> dict[str, float]:
        """Memory of each process: pages shared by several are divided among them (PSS), where the kernel tells."""
        return {name: sum(map(_memory, some)) / MIB for name, some in self._processes.items()}


class Strangers:
    """How much of the machine programs use that have nothing to do with the run, from its making on."""

    def __init__(self, stack: Meter) -> None:
        self._stack = stack
        self._began = time.monotonic()
        self._used = self._seconds()

    def percent(self) -> float:
        """Of all cores, so far."""
        whole = (time.monotonic() - self._began) * (psutil.cpu_count() or 1)
        return max(0.0, 100 * (self._seconds() - self._used) / whole)

    def _seconds(self) -> float:
        """CPU seconds of everything, without the stack, this process and those of its children that have ended."""
        machine, here = psutil.cpu_times(), os.times()
        # The kernel counts the time of guests among that of users.
        busy = sum(machine) - machine.idle - sum(getattr(machine, n, 0.0) for n in ("iowait", "guest", "guest_nice"))
        ours = here.user + here.system + here.children_user + here.children_system
        return busy - ours - sum(self._stack.cpu_s().values())


def _memory(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))
