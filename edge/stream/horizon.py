"""How far fan-out has certainly come, asked of the services that have work queued; the time in a cursor follows from it."""

import asyncio
from collections.abc import Mapping

from aviary.mesh.v1 import mesh_pb2
from aviary.mesh.v1.mesh_pb2_grpc import MeshServiceAsyncStub
from grpc import aio

from runtime import telemetry
from runtime.context import NOBODY, acting
from runtime.ids import Clock

ASK_EVERY_S = 10.0
OVERLAP_MS = 60_000
_MARGIN_MS = 10_000
_ASK_WITHIN_S = 3.0

log = telemetry.logger(__name__)


class BacklogHorizon:
    """Everything that was posted before `horizon` is in the homes that it belongs to.

    A resume reads homes from one minute before the time of its cursor. So that this minute is always enough, a cursor never
    holds a time later than horizon + 50 s: normally that is the present, and while fan-out lags it stands still.
    """

    def __init__(self, services: Mapping[str, MeshServiceAsyncStub], clock: Clock) -> None:
        self._services = services
        self._clock = clock
        # Nothing is known of a service that has not answered yet: what was posted before this process began may be on its way.
        self._reached_ms = dict.fromkeys(services, 0)

    def cursor_ms(self) -> int:
        """The time that a cursor may hold now."""
        now = self._clock.now_ms()
        return min([now, *(reached + OVERLAP_MS - _MARGIN_MS for reached in self._reached_ms.values())])

    async def run(self) -> None:
        """Ask every 10 seconds, until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(ASK_EVERY_S)

    async def ask(self) -> None:
        """Ask every service once, in the order in which a tweet passes them. One that does not answer leaves its horizon where it was."""
        for name, stub in self._services.items():
            # One after another: what leaves the first meanwhile is counted by the next, never by none.
            await self._ask(name, stub)

    async def _ask(self, name: str, stub: MeshServiceAsyncStub) -> None:
        asked_at = self._clock.now_ms()
        try:
            with acting(NOBODY, _ASK_WITHIN_S):
                backlog = await stub.GetBacklog(mesh_pb2.GetBacklogRequest())
        except aio.AioRpcError as error:
            log.warning("backlog_unknown", of=name, status=error.code().name)
            return
        self._reached_ms[name] = max(self._reached_ms[name], asked_at - backlog.lag_ms)
