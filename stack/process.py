"""What a program is (command, environment, ports, log, probe) and how one child process of it is started and stopped.

Which programs there are, and restarting them, is not decided here.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stack.errors import StackError
from stack.ports import HOST

SPAWN = Path(__file__).with_name("spawn.py")
TAIL_LINES = 25
_INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ")

Probe = Callable[[], str | None]
"""Answers None when the program is ready, else why not, in a few words; returns within about two seconds."""


def anything(_answer: bytes) -> None:
    """The verdict of most pings: whoever says anything is alive."""


@dataclass(frozen=True)
class Ping:
    """A question that a living program answers at once, whether or not it is ready; silence means that it hangs."""

    port: int
    question: bytes
    """What is sent first; empty where the server speaks first."""
    name: str
    """What was asked, for people: `/healthz`."""
    verdict: Callable[[bytes], str | None] = anything
    """What in the first bytes of the answer shows a state that only a restart mends, in words; None is well."""


def bare_environment() -> dict[str, str]:
    """The few variables a server may inherit: JAVA_TOOL_OPTIONS, CLASSPATH and their like would change how it runs."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


@dataclass(frozen=True)
class Program:
    """One long-running program of the stack, ready to be started any number of times."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    workdir: Path
    log: Path
    ports: Mapping[str, int]
    probe: Probe
    host: str = HOST
    """The address on which it listens."""
    ready_timeout_s: float = 180.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0
    forbid_locked_memory: bool = False
    coarse_timers: bool = False
    """Its short sleeps may take up to 1 ms longer than it asks for (Linux: 0.05 ms)."""
    ping: Ping | None = None
    patience: int = 1
    """How many times as long as others it may leave pings unanswered before it counts as hung."""
    room_mb: int = 0
    """Free megabytes at its work folder without which it would end again at once."""
    prepare: Callable[[], None] = field(default=lambda: None)
    """Runs before every start: writes configuration files, makes folders."""

    def argv(self) -> list[str]:
        """The command line that ties the child to this process and then becomes the program."""
        return tied(self.command, forbid_locked_memory=self.forbid_locked_memory, coarse_timers=self.coarse_timers)


class Child:
    """One running process of a program."""

    def __init__(self, program: Program, process: subprocess.Popen[bytes]) -> None:
        self.program = program
        self.process = process

    @classmethod
    def start(cls, program: Program) -> "Child":
        """Start it in its own session with its output appended to the log.

        Must be called from a thread that lives as long as the child should: Linux ties the child to that thread.
        """
        make_folders(program)
        program.prepare()
        with program.log.open("ab") as log:
            process = subprocess.Popen(
                program.argv(),
                env=dict(program.env),
                cwd=program.workdir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(program, process)

    def wait_ready(self) -> None:
        """Return when the probe is content; raise StackError with the log's tail when it dies or takes too long."""
        deadline = time.monotonic() + self.program.ready_timeout_s
        while True:
            if self.process.poll() is not None:
                raise died(self.program, self.process.returncode)
            reason = self.program.probe()
            if reason is None:
                return
            if time.monotonic() > deadline:
                raise slow(self.program, reason)
            time.sleep(0.05)

    def stop(self) -> None:
        """End it by its stop signal, after the grace by SIGKILL; returns when it is gone."""
        if self.process.poll() is None:
            self.process.send_signal(self.program.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.program.stop_grace_s)
        self.kill()

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would; returns when it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def tied(command: Sequence[str], *, forbid_locked_memory: bool = False, coarse_timers: bool = False) -> list[str]:
    """A command line that first ties the child's life to the calling process, then becomes the command."""
    flags = "m" * forbid_locked_memory + "t" * coarse_timers or "-"
    return [sys.executable, "-I", "-S", str(SPAWN), str(os.getpid()), flags, "--", *command]


def make_folders(program: Program) -> None:
    """Make the work folder and the log's folder."""
    program.workdir.mkdir(parents=True, exist_ok=True)
    program.log.parent.mkdir(parents=True, exist_ok=True)


def write_configuration(path: Path, text: str) -> None:
    """Write a file that a program is configured by; one that says this already is left, for a full disk would empty it."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except FileNotFoundError:
        pass
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def died(program: Program, returncode: int | None) -> StackError:
    """The error for a program that ended before it was ready."""
    return StackError(
        f"{program.name} ended with {exit_text(returncode)} before it was ready: mend what {program.log} names"
        " and start again",
        detail=log_tail(program.log),
    )


def slow(program: Program, reason: str) -> StackError:
    """The error for a program that never became ready."""
    return StackError(
        f"{program.name} was not ready after {program.ready_timeout_s:.0f} s ({reason}): read {program.log}",
        detail=log_tail(program.log),
    )


def exit_text(returncode: int | None) -> str:
    """A return code in words: `exit code 1`, `signal SIGKILL`."""
    if returncode is not None and returncode < 0:
        return f"signal {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"


def log_tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log file; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 200 * lines))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
