"""Starts the units of a stack in order, restarts what ends, stops all. What the units are is in topology.py."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from ops.restarts import RestartPolicy, Restarts
from ops.state import ProcessRecord, start_time
from ops.topology import Role, Unit
from stack.errors import StackError
from stack.process import died, exit_text, log_tail, make_folders, slow

_PROBE_EVERY_S = 0.1
# A service that fails at its very first start may only have been too early; a server that does is misconfigured.
_FIRST_ATTEMPTS: Mapping[Role, int] = {Role.SERVER: 1, Role.SERVICE: 4}


@dataclass
class Keeper:
    """Keeps one unit running."""

    unit: Unit
    record: ProcessRecord
    changed: Callable[[], None]
    say: Callable[[str, str], None]
    policy: RestartPolicy
    first_ready: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None

    async def keep(self, needed: Sequence["Keeper"]) -> None:
        """Start it once what it needs is ready, and again whenever it ends; returns only when it is stopped.

        Raises StackError when it gives up.
        """
        await self._wait_for(needed)
        restarts = Restarts(self.policy)
        while not self.stopping.is_set():
            began = time.monotonic()
            process = await self._start()
            await self._until_ended(process, self._watch_ready(began, restarts))
            self.record.pid = self.record.started = None
            if not self.stopping.is_set():
                delay = self._restart_delay(restarts, process.returncode)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), delay)
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
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), self.unit.program.stop_grace_s)
            if process.returncode is None:
                process.kill()
        await process.wait()

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
        delay = restarts.next_delay(time.monotonic())
        if not self.first_ready.is_set() and restarts.total >= _FIRST_ATTEMPTS[self.unit.role]:
            raise died(program, returncode)
        if delay is None:
            raise StackError(
                f"{program.name} ended {self.policy.limit + 1} times, at last with {exit_text(returncode)}:"
                f" mend what {program.log} names and start again",
                detail=log_tail(program.log),
            )
        self.record.restarts = restarts.total
        self._note("restarting", f"ended with {exit_text(returncode)}; starting again in {delay:.1f} s")
        return delay

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
        self.record.state = "starting"
        self.changed()
        return self.process

    async def _watch_ready(self, began: float, restarts: Restarts) -> None:
        """Return when the probe is content; raise StackError when the first start takes too long."""
        program = self.unit.program
        while (reason := await asyncio.to_thread(program.probe)) is not None:
            if time.monotonic() - began > program.ready_timeout_s and not self.first_ready.is_set():
                raise slow(program, reason)
            await asyncio.sleep(_PROBE_EVERY_S)
        if self.stopping.is_set():
            return
        restarts.became_ready()
        ports = ", ".join(f"{name} {port}" for name, port in program.ports.items())
        self._note("ready", f"ready after {time.monotonic() - began:.1f} s (pid {self.record.pid}; {ports})")
        self.first_ready.set()

    async def _until_ended(self, process: asyncio.subprocess.Process, watching: Coroutine[None, None, None]) -> None:
        """Return when the process has ended; raise what the watch raises, leaving no process behind."""
        ended = asyncio.create_task(process.wait())
        watch = asyncio.create_task(watching)
        try:
            if self.stopping.is_set():
                # Asked to stop while the process was being made: nobody else knows of it yet.
                await self.stop(grace=False)
            done, _ = await asyncio.wait({ended, watch}, return_when=asyncio.FIRST_COMPLETED)
            if watch in done:
                watch.result()
            await ended
        finally:
            watch.cancel()
            if process.returncode is None:
                await self.stop(grace=False)
            await asyncio.gather(ended, watch, return_exceptions=True)

    def _note(self, state: str, text: str) -> None:
        """Record a state and tell the person."""
        self.record.state = state
        self.changed()
        self.say(self.unit.program.name, text)


class Supervisor:
    """All units of one stack under one process."""

    def __init__(
        self,
        units: Sequence[Unit],
        *,
        changed: Callable[[], None],
        say: Callable[[str, str], None],
        policy: RestartPolicy,
    ) -> None:
        """`changed` is called after every change of `records`, `say` with a unit's name and what happened to it."""
        self.keepers = {
            unit.program.name: Keeper(
                unit,
                ProcessRecord(unit.program.name, unit.role.value, ports=unit.program.ports, log=str(unit.program.log)),
                changed,
                say,
                policy,
            )
            for unit in units
        }

    @property
    def records(self) -> list[ProcessRecord]:
        """The processes as they are now."""
        return [keeper.record for keeper in self.keepers.values()]

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event, ready: Callable[[], None]) -> None:
        """Run until `stop`, calling `ready` once when everything is; `hurry` cuts the graceful stop short.

        Raises StackError when a unit gives up. Whatever happens, no process is left when this returns.
        """
        keeping = [asyncio.create_task(keeper.keep(self._needed(keeper))) for keeper in self.keepers.values()]
        all_ready = asyncio.create_task(self._all_ready(ready))
        stopped = asyncio.create_task(stop.wait())
        try:
            await self._first_failure_or_stop(keeping, all_ready, stopped)
        finally:
            all_ready.cancel()
            stopped.cancel()
            await self._stop_all(hurry)
            await asyncio.gather(*keeping, all_ready, stopped, return_exceptions=True)

    async def _first_failure_or_stop(
        self, keeping: list[asyncio.Task[None]], all_ready: asyncio.Task[None], stopped: asyncio.Task[bool]
    ) -> None:
        """Return when asked to stop; raise what a keeper raises."""
        waiting: set[asyncio.Task[None] | asyncio.Task[bool]] = {*keeping, all_ready, stopped}
        while not stopped.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _all_ready(self, ready: Callable[[], None]) -> None:
        """Tell when every unit was ready once."""
        for keeper in self.keepers.values():
            await keeper.first_ready.wait()
        ready()

    def _needed(self, keeper: Keeper) -> list[Keeper]:
        """The keepers a unit waits for."""
        return [self.keepers[name] for name in keeper.unit.needs]

    async def _stop_all(self, hurry: asyncio.Event) -> None:
        """Stop the services side by side, so that they can still write while they drain, then the servers."""
        hurried = asyncio.create_task(hurry.wait())
        for role in (Role.SERVICE, Role.SERVER):
            gently = asyncio.create_task(self._stop_role(role, grace=True))
            await asyncio.wait({gently, hurried}, return_when=asyncio.FIRST_COMPLETED)
            if not gently.done():
                gently.cancel()
                await self._stop_role(role, grace=False)
        hurried.cancel()

    async def _stop_role(self, role: Role, *, grace: bool) -> None:
        """Stop all units of one role at the same time."""
        keepers = [keeper for keeper in self.keepers.values() if keeper.unit.role is role]
        await asyncio.gather(*(keeper.stop(grace=grace) for keeper in keepers))
