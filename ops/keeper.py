"""Keeps one unit running: starts it, asks whether it is alive, starts it again when it ended. All together is supervisor.py."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ops.liveness import PINGS, Liveness, ask
from ops.obstacles import lack_of_room, obstacle
from ops.restarts import RestartPolicy, Restarts
from ops.state import ProcessRecord, start_time
from ops.topology import Role, Unit
from stack.errors import StackError, disk_problem
from stack.process import died, exit_text, log_tail, make_folders, slow

_PROBE_EVERY_S = 0.1
# A service that fails at its very first start may only have been too early; a server that does is misconfigured.
_FIRST_ATTEMPTS: Mapping[Role, int] = {Role.SERVER: 1, Role.SERVICE: 4}

Level = Literal["info", "warning", "error"]
Say = Callable[[str, str, Level], None]
"""Told a unit's name, what happened to it, and how bad that is."""


@dataclass
class Keeper:
    """Keeps one unit running."""

    unit: Unit
    record: ProcessRecord
    changed: Callable[[], None]
    say: Say
    policy: RestartPolicy
    first_ready: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None
    _verdict: str | None = None
    """Why we ended the process ourselves, when we did."""

    async def keep(self, needed: Sequence["Keeper"]) -> None:
        """Start it once what it needs is ready, and again whenever it ends; returns only when it is stopped.

        Raises StackError when it gives up.
        """
        await self._wait_for(needed)
        restarts = Restarts(self.policy)
        while not self.stopping.is_set():
            began = time.monotonic()
            process = await self._start_when_possible()
            if process is None:
                break
            liveness = self._liveness()
            await self._until_ended(
                process, [self._watch_ready(began, restarts, liveness), self._watch_alive(process, liveness)]
            )
            self.record.pid = self.record.started = None
            if not self.stopping.is_set():
                await self._pause(self._restart_delay(restarts, process.returncode))
        self._note("stopped", "stopped")

    async def stop(self, *, grace: bool = True) -> None:
        """End it by its stop signal, after its grace by SIGKILL; returns when it is gone."""
        self.stopping.set()
        process = self.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if grace:
                process.send_signal(self.unit.program.stop_signal)
                # One that was halted could not even hear it.
                process.send_signal(signal.SIGCONT)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), self.unit.program.stop_grace_s)
            if process.returncode is None:
                process.kill()
        await process.wait()

    async def _pause(self, seconds: float) -> None:
        """Wait, or until it is to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    async def _wait_for(self, needed: Sequence["Keeper"]) -> None:
        """Return when all of these were ready once, or when this one is to stop."""
        for other in needed:
            events = {asyncio.create_task(event.wait()) for event in (other.first_ready, self.stopping)}
            try:
                await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for event in events:
                    event.cancel()

    def _restart_delay(self, restarts: Restarts, returncode: int | None) -> float:
        """Seconds until the next start after the process ended; raises StackError to give up."""
        program = self.unit.program
        ending, self._verdict = self._verdict or exit_text(returncode), None
        delay = restarts.next_delay(time.monotonic())
        if not self.first_ready.is_set() and restarts.total >= _FIRST_ATTEMPTS[self.unit.role]:
            raise died(program, returncode)
        if delay is None:
            raise StackError(
                f"{program.name} ended {self.policy.limit + 1} times, at last with {ending}:"
                f" mend what {program.log} names and start again",
                detail=log_tail(program.log),
            )
        self.record.restarts = restarts.total
        self.record.last_end, self.record.last_end_at = ending, time.time()
        self._note("restarting", f"ended with {ending}; starting again in {delay:.1f} s", "warning")
        return delay

    async def _start_when_possible(self) -> asyncio.subprocess.Process | None:
        """Start the process; None when it is to stop before that was possible.

        What is in its way is no failure of the unit's: it is told, asked for again ever more rarely, and never given up.
        Raises StackError where that concerns a first start.
        """
        delay = self.policy.first_s
        while not self.stopping.is_set():
            hindrance = await asyncio.to_thread(obstacle, self.unit.program)
            if hindrance is None:
                try:
                    return await self._start()
                except OSError as error:
                    reason = disk_problem(error)
                    if reason is None:
                        raise
                    hindrance = f"cannot write to {error.filename or self.unit.program.log} ({reason}): make room there"
            if not self.first_ready.is_set():
                raise StackError(f"{self.unit.program.name} cannot be started: {hindrance}")
            self.record.reason = hindrance
            self._note("blocked", f"cannot be started: {hindrance}; trying again in {delay:.1f} s", "warning")
            await self._pause(delay)
            delay = min(delay * 2, self.policy.longest_s)
        return None

    async def _start(self) -> asyncio.subprocess.Process:
        """Start the process: from the main thread, to whose life Linux ties that of the child."""
        program = self.unit.program
        make_folders(program)
        program.prepare()
        with program.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *program.argv(),
                env=dict(program.env),
                cwd=program.workdir,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        self.record.pid = self.process.pid
        self.record.started = start_time(self.process.pid)
        self.record.state, self.record.reason = "starting", ""
        self.changed()
        return self.process

    def _liveness(self) -> Liveness | None:
        """How the next process is asked whether it is alive; None when nobody wants to know."""
        program = self.unit.program
        every_s = self.policy.hung_s * program.patience / PINGS
        if program.ping is None or not every_s:
            return None
        return Liveness(every_s, at_start=int(program.ready_timeout_s / every_s) + PINGS)

    async def _watch_ready(self, began: float, restarts: Restarts, liveness: Liveness | None) -> None:
        """Return when the probe is content; raise StackError when the first start takes too long."""
        program = self.unit.program
        while (reason := await asyncio.to_thread(program.probe)) is not None:
            if time.monotonic() - began > program.ready_timeout_s and not self.first_ready.is_set():
                raise slow(program, reason)
            await asyncio.sleep(_PROBE_EVERY_S)
        if self.stopping.is_set():
            return
        restarts.became_ready()
        if liveness is not None:
            liveness.answered = True
        ports = ", ".join(f"{name} {port}" for name, port in program.ports.items())
        self._note("ready", f"ready after {time.monotonic() - began:.1f} s (pid {self.record.pid}; {ports})")
        self.first_ready.set()

    async def _watch_alive(self, process: asyncio.subprocess.Process, liveness: Liveness | None) -> None:
        """Return once the process had to be ended because it hangs."""
        program = self.unit.program
        if program.ping is None or liveness is None:
            return
        while not self.stopping.is_set():
            began = time.monotonic()
            wrong = await ask(program.ping, program.host, liveness.every_s)
            took_s = time.monotonic() - began
            verdict = liveness.count(wrong, took_s)
            # What could not be started again is left as it is: it may still do a part of its work.
            if verdict and lack_of_room(program) is None:
                self._verdict = f"signal SIGKILL (it hung: {verdict})"
                self.say(program.name, f"hung: {verdict}; killed", "error")
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                return
            await asyncio.sleep(max(0.0, liveness.every_s - took_s))

    async def _until_ended(
        self, process: asyncio.subprocess.Process, watching: Sequence[Coroutine[Any, Any, None]]
    ) -> None:
        """Return when the process has ended; raise what a watch raises, leaving no process behind."""
        ended = asyncio.create_task(process.wait())
        watches = [asyncio.create_task(watch) for watch in watching]
        try:
            if self.stopping.is_set():
                # Asked to stop while the process was being made: nobody else knows of it yet.
                await self.stop(grace=False)
            waiting: set[asyncio.Task[Any]] = {ended, *watches}
            while not ended.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for watch in watches:
                watch.cancel()
            if process.returncode is None:
                await self.stop(grace=False)
            await asyncio.gather(ended, *watches, return_exceptions=True)

    def _note(self, state: str, text: str, level: Level = "info") -> None:
        """Record a state and tell the person."""
        self.record.state = state
        self.changed()
        self.say(self.unit.program.name, text, level)
