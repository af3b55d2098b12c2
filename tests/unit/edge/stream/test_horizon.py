"""Cursors never promise more than fan-out has delivered."""

import asyncio
from typing import Any

import grpc
from aviary.mesh.v1 import mesh_pb2

from edge.stream.catchup import RESUME_WITHIN_MS
from edge.stream.horizon import BacklogHorizon
from tests.unit.edge.stream.rig import Clock


class Service:
    def __init__(self, lag_ms: int = 0) -> None:
        self.lag_ms = lag_ms
        self.down = False

    async def GetBacklog(self, request: Any) -> mesh_pb2.GetBacklogResponse:
        if self.down:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
        return mesh_pb2.GetBacklogResponse(lag_ms=self.lag_ms)


async def test_while_fan_out_keeps_up_cursors_hold_the_present() -> None:
    clock = Clock()
    horizon: Any = BacklogHorizon({"a": Service(), "b": Service(49_000)}, clock)  # type: ignore[dict-item]
    clock.ms += 5000
    await horizon.ask()
    assert horizon.cursor_ms() == clock.ms


async def test_while_fan_out_lags_cursors_stay_behind() -> None:
    clock = Clock()
    late = Service(120_000)
    horizon: Any = BacklogHorizon({"a": Service(), "b": late}, clock)  # type: ignore[dict-item]
    start = clock.ms
    clock.ms += 120_000
    await horizon.ask()
    assert horizon.cursor_ms() == start + 50_000, "a resume from there reads from before the oldest that is on its way"
    late.lag_ms = 0
    await horizon.ask()
    assert horizon.cursor_ms() == clock.ms


async def test_a_service_that_does_not_answer_holds_the_cursors_back() -> None:
    clock = Clock()
    gone = Service()
    horizon: Any = BacklogHorizon({"a": gone}, clock)  # type: ignore[dict-item]
    await horizon.ask()
    gone.down = True
    start = clock.ms
    clock.ms += 300_000
    await horizon.ask()
    assert horizon.cursor_ms() == start + 50_000


async def test_an_edge_that_starts_while_fan_out_lags_promises_no_more_than_one_that_was_there() -> None:
    """What was posted before the edge started and is still on its way must lie behind the cursor, or a reconnect misses it silently."""
    clock = Clock()
    horizon: Any = BacklogHorizon({"a": Service(600_000), "b": Service()}, clock)  # type: ignore[dict-item]
    await horizon.ask()
    assert horizon.cursor_ms() == clock.ms - 600_000 + 50_000


async def test_before_a_service_said_how_far_it_is_a_cursor_promises_nothing() -> None:
    """A reconnect with it is told of a gap."""
    clock = Clock()
    gone = Service()
    gone.down = True
    horizon: Any = BacklogHorizon({"a": Service(), "b": gone}, clock)  # type: ignore[dict-item]
    await horizon.ask()
    assert clock.ms - horizon.cursor_ms() > RESUME_WITHIN_MS


async def test_what_goes_from_one_service_to_the_next_meanwhile_is_counted() -> None:
    """An announcement that waited in an outbox for long is published just when its service is asked."""
    clock = Clock()
    fanout = Service()

    class Relaying(Service):
        async def GetBacklog(self, request: Any) -> mesh_pb2.GetBacklogResponse:
            await asyncio.sleep(0)
            fanout.lag_ms = 600_000
            return await super().GetBacklog(request)

    horizon: Any = BacklogHorizon({"tweet": Relaying(), "timeline": fanout}, clock)  # type: ignore[dict-item]
    await horizon.ask()
    assert horizon.cursor_ms() == clock.ms - 600_000 + 50_000
