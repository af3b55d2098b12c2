"""Runs one stack in the foreground from the first check to the last process, or starts that in the background."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.keeper import Level
from ops.logs.bounds import cut_long
from ops.logs.journal import SUPERVISOR, Journal
from ops.obstacles import taken_port
from ops.restarts import RestartPolicy
from ops.settings import DEFAULT_LOG_MB
from ops.state import RUN_FILE, ProcessRecord, RunRecord, hold, refuse_second, start_time
from ops.supervisor import Supervisor
from ops.topology import ROOT, Role, Stack
from stack.errors import StackError, clear_disk_errors
from stack.process import exit_text, tied

_MB = 1024 * 1024
_NEEDED_DISK_MB = 1024
_THEN_GRACE_S = 5.0
_HOUSEKEEPING_EVERY_S = 2.0
# What a run in the background would have told its terminal; the same and more is in the supervisor's log.
_TERMINAL = "terminal.out"
_OTHER_HOME = "set AVIARY_HOME to another folder"


@dataclass(frozen=True)
class Plan:
    """What one run is about."""

    home: Path
    namespace: str
    make: Callable[[], Stack]
    """Describes the stack once the home is held; may download and make secrets."""
    ready_lines: Callable[[Stack], Sequence[str]]
    """What to print on standard output once everything is ready."""
    then: Sequence[str] = ()
    """A command to run once, after that; it is ended with the stack and not started again."""
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    log_mb: float = DEFAULT_LOG_MB
    """A log longer than this many megabytes is moved to its older generation."""


def serve(plan: Plan) -> None:
    """Start the stack of the plan and watch over it until SIGINT, SIGTERM or SIGHUP.

    Raises StackError, with everything stopped, when it cannot start or a process keeps ending.
    """
    with clear_disk_errors(plan.home, _OTHER_HOME):
        plan.home.mkdir(parents=True, exist_ok=True)
        with hold(plan.home):
            check_disk(plan.home)
            stack = plan.make()
            check_ports(stack)
            asyncio.run(_Run(plan, stack).run())


class _Run:
    """One run of one stack: its supervisor, its record on disk, its lines on the terminal."""

    def __init__(self, plan: Plan, stack: Stack) -> None:
        self.plan = plan
        self.stack = stack
        self.logs = plan.home / "logs"
        self.journal = Journal(self.logs)
        self.then: asyncio.Task[None] | None = None
        self.unwritten = False
        self.began = time.monotonic()
        self.supervisor = Supervisor(stack.units, changed=self.write, say=self.say, policy=plan.policy)
        external = [ProcessRecord(name, "server", state="external") for name in stack.external]
        self.record = RunRecord(
            pid=os.getpid(),
            started=start_time(os.getpid()) or 0.0,
            namespace=plan.namespace,
            addresses=dict(stack.addresses),
            http_port=stack.http_port,
            processes=external + self.supervisor.records,
        )

    async def run(self) -> None:
        """Until a signal or a failure."""
        stop, hurry = asyncio.Event(), asyncio.Event()
        self._handle_signals(stop, hurry)
        for name in self.stack.external:
            self.say(name, "given by the environment, not started")
        self.write()
        state = "failed"
        housekeeping = asyncio.create_task(self.keep_house())
        try:
            await self.supervisor.run(stop, hurry, self.ready)
            state = "stopped"
        except StackError as error:
            self.journal.note(SUPERVISOR, f"gave up: {error.line}", "error")
            raise
        finally:
            others = [housekeeping, *([self.then] if self.then is not None else [])]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self.record.state = state
            self.write()

    async def keep_house(self) -> None:
        """For ever: keep the logs short, and write down what could not be written before."""
        while True:
            await asyncio.to_thread(cut_long, self.logs, int(self.plan.log_mb * _MB))
            if self.unwritten:
                self.write()
            await asyncio.sleep(_HOUSEKEEPING_EVERY_S)

    def ready(self) -> None:
        """Everything is ready for the first time."""
        with contextlib.suppress(OSError):
            print("\n".join(self.plan.ready_lines(self.stack)), flush=True)
        # After the lines: whoever started us in the background reads them as soon as this says ready.
        self.record.state = "ready"
        self.write()
        if self.plan.then:
            self.then = asyncio.create_task(self._run_then(self.plan.then))

    async def _run_then(self, command: Sequence[str]) -> None:
        """Run the command on this terminal; a failure of it is told and does not end the stack."""
        process = await asyncio.create_subprocess_exec(
            *tied(command), env={**os.environ, "AVIARY_HOME": str(self.plan.home)}, start_new_session=True
        )
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), _THEN_GRACE_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()
        if code != 0:
            self.say("then", f"{' '.join(command[1:])} ended with {exit_text(code)}; the stack goes on", "warning")

    def say(self, name: str, text: str, level: Level = "info") -> None:
        """One line with the time since the start, and one in the log; a closed terminal does not end the stack."""
        self.journal.note(name, text, level)
        with contextlib.suppress(OSError):
            print(f"{time.monotonic() - self.began:7.1f} s  {name:<13} {text}", file=sys.stderr, flush=True)

    def write(self) -> None:
        """Replace run.json. A full disk must not end what runs: it is told once, and written when there is room again."""
        try:
            self.record.write(self.plan.home)
        except OSError as error:
            if not self.unwritten:
                self.say(SUPERVISOR, f"cannot write {self.plan.home / RUN_FILE} ({error.strerror}): make room", "error")
            self.unwritten = True
        else:
            self.unwritten = False

    def _handle_signals(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """The first signal stops gracefully, the second at once."""

        def on_signal(number: signal.Signals) -> None:
            if stop.is_set():
                self.say(SUPERVISOR, "stopping at once")
                hurry.set()
            else:
                self.say(SUPERVISOR, f"{number.name}: stopping services, then servers (again to stop at once)")
                self.record.state = "stopping"
                self.write()
                if self.then is not None:
                    self.then.cancel()
                stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup has it ignored, and it shall stay so.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, on_signal, number)


def check_disk(home: Path, needed_mb: int = _NEEDED_DISK_MB) -> None:
    """Refuse to start where the servers would soon stop for want of room."""
    free_mb = shutil.disk_usage(home).free // _MB
    if free_mb < needed_mb:
        raise StackError(
            f"only {free_mb} MB are free in {home}, {needed_mb} are needed: make room, or set AVIARY_HOME elsewhere"
        )


def check_ports(stack: Stack) -> None:
    """Refuse to start when a port is taken, naming it, its user where visible, and what to change."""
    wanted: dict[tuple[str, int], str] = {}
    for unit in stack.units:
        program = unit.program
        for port in program.ports.values():
            other = wanted.setdefault((program.host, port), program.name)
            if other != program.name:
                raise StackError(
                    f"port {port} is wanted by {other} and by {program.name}: set AVIARY_HTTP_PORT to another"
                )
        taken = taken_port(program)
        if taken is not None:
            kind, port, owner = taken
            changes = ["AVIARY_HTTP_PORT=… to another port"] if kind == "http" and unit.role is Role.SERVICE else []
            changes += [] if stack.free_ports else ["AVIARY_PORTS=free"]
            raise StackError(
                f"port {port} ({program.name}, {kind}) is in use{owner}: stop what listens there,"
                f" or {'set ' + ', or '.join(changes) if changes else 'start again for other ports'}"
            )


def detach(words: Sequence[str], base: Path, home: Path) -> int:
    """Run `aviary WORDS` in a session of its own and return once it is ready.

    `base` is AVIARY_HOME, `home` the folder whose run.json tells of it. The result is an exit code. Its ready lines
    appear on standard output, what it reports on standard error; the latter goes on in a log.
    """
    refuse_second(home)
    with clear_disk_errors(home, _OTHER_HOME):
        (home / "logs").mkdir(parents=True, exist_ok=True)
        log = home / "logs" / _TERMINAL
        log.unlink(missing_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ops.cli", *words],
                cwd=ROOT,
                env={**os.environ, "AVIARY_HOME": str(base)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
    try:
        return _follow_until_ready(process, home, log)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


def _follow_until_ready(process: subprocess.Popen[bytes], home: Path, log: Path) -> int:
    """Show what the background process says until it is ready (0) or ended (its exit code)."""
    assert process.stdout is not None
    with process.stdout, log.open(encoding="utf-8", errors="replace") as lines:
        while True:
            ended = process.poll()
            record = RunRecord.read(home)
            is_ready = record is not None and record.pid == process.pid and record.state == "ready"
            sys.stderr.write(lines.read())
            sys.stderr.flush()
            if ended is not None:
                return ended or 1
            if is_ready:
                os.set_blocking(process.stdout.fileno(), False)
                print((process.stdout.read() or b"").decode(), end="", flush=True)
                return 0
            time.sleep(0.1)
