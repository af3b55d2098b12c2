"""A supervisor over fake programs, as a process of its own, and how a test waits for what it does. No test is here."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.state import RunRecord
from stack.ports import pick_free

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(__file__).with_name("fake_stack.py")
PATIENCE_S = 60.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; the limit is only there to end a broken run."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


@dataclass
class Fake:
    """A supervisor process over fake programs."""

    home: Path
    process: subprocess.Popen[str]

    def ready(self) -> RunRecord:
        until(lambda: self.record_state() == "ready" or self.process.poll() is not None, "all is ready")
        record = RunRecord.read(self.home)
        assert record is not None and self.process.poll() is None, self.process.communicate()
        return record

    def record_state(self) -> str | None:
        record = RunRecord.read(self.home)
        return record.state if record is not None and record.pid == self.process.pid else None

    def child(self, name: str) -> Any:
        record = RunRecord.read(self.home)
        assert record is not None
        return next(process for process in record.processes if process.name == name)

    def tell(self, name: str, word: str) -> None:
        """Have a fake program do something: `crash`, or `say`."""
        # On a machine so slow that it was taken for hung, it is being started once more.
        until(lambda: self._told(name, word), f"{name} hears {word}")

    def _told(self, name: str, word: str) -> bool:
        port = self.child(name).ports["metrics"]
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        except ConnectionRefusedError:
            return False
        with connection:
            connection.sendall(f"GET /{word} HTTP/1.0\r\n\r\n".encode())
            connection.recv(100)
        return True

    def again(self, name: str, old_pid: int) -> Any:
        """Its record, once it is ready under another pid."""
        until(lambda: self.child(name).state == "ready" and self.child(name).pid != old_pid, f"{name} is back")
        return self.child(name)

    def journal(self) -> str:
        """What the supervisor logged."""
        return (self.home / "logs" / "supervisor.log").read_text(encoding="utf-8")

    def pids(self) -> list[int]:
        record = RunRecord.read(self.home)
        return [process.pid for process in record.processes if process.pid] if record else []

    def finish(self) -> tuple[int, str]:
        """Its exit code and what it said, once it has ended."""
        output, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, output + errors


@contextmanager
def supervised(home: Path, *programs: dict[str, Any], then: Sequence[str] = (), **options: float) -> Iterator[Fake]:
    """Start a supervisor over the programs; whatever is left of it is killed. Options: `hung_s`, `first_s`, `log_mb`."""
    units = [{"role": "service", "needs": [], "script": "serves", **one} for one in programs]
    specification = json.dumps({"units": units, **options})
    process = subprocess.Popen(
        [sys.executable, str(FAKE), str(home), specification, *then],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Fake(home, process)
    finally:
        process.kill()
        process.communicate()


def one(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "port": pick_free(1)[0], **values}
