"""CPU time and memory of processes, as the kernel counts them (CPU in steps of 10 ms); what they did meanwhile is the callers' matter."""

from collections.abc import Mapping

import psutil

from ops.running import Running

MIB = 1024 * 1024


class Meter:
    """Reads what a set of processes has used since they were started."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}

    @classmethod
    def of_stack(cls, stack: Running) -> "Meter":
        """Every process of a stack, its supervisor included."""
        pids = {record.name: record.pid for record in stack.processes if record.pid is not None}
        return cls({**pids, "supervisor": stack.pid})

    def cpu_s(self) -> dict[str, float]:
        """User and system seconds of each process. Raises psutil.NoSuchProcess when one has ended."""
        times = {name: process.cpu_times() for name, process in self._processes.items()}
        return {name: used.user + used.system for name, used in times.items()}

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """Seconds that each process used since an earlier `cpu_s`."""
        return {name: now - before[name] for name, now in self.cpu_s().items()}

    def memory_mib(self) -> dict[str, float]:
        """Memory of each process: pages shared by several are divided among them (PSS), where the kernel tells."""
        return {name: _memory(process) / MIB for name, process in self._processes.items()}


def _memory(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))
