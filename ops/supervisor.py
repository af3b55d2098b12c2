"""All units of a stack: starts them in order and stops them. One unit is kept running by keeper.py; what they are is in topology.py."""

import asyncio
from collections.abc import Callable, Sequence

from ops.keeper import Keeper, Say
from ops.restarts import RestartPolicy
from ops.state import ProcessRecord
from ops.topology import Role, Unit


class Supervisor:
    """All units of one stack under one process."""

    def __init__(
        self,
        units: Sequence[Unit],
        *,
        changed: Callable[[], None],
        say: Say,
        policy: RestartPolicy,
    ) -> None:
        """`changed` is called after every change of `records`, `say` when something happened to a unit."""
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
