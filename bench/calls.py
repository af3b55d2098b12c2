"""A unary call over the ordinary channel under the guard, beside bare grpc.aio with the same handler; and the guard alone."""

import time
from typing import Any

from aviary.timeline.v1 import timeline_pb2

from bench.cpu import Meter
from bench.driver import callee, caller
from bench.figures import Ceiling, Row, each_us
from bench.peers import people, request
from bench.stage import Stage
from runtime import contract
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.guard import Guard
from runtime.ids import SystemClock

NAME = "A call in the mesh"
IN_FLIGHT = (1, 8, 64)
AIM_TIMES = 1.15
AIM_GUARD_US = 25.0
_BARE = "bare grpc.aio, the same handler, both ends"
_RPC = contract.method("/aviary.timeline.v1.TimelineService/GetHome")


async def run(stage: Stage) -> list[Row]:
    """CPU of client and server for one call at several numbers in flight, and what policy, caller, validation and errors add."""
    rows = []
    for in_flight in IN_FLIGHT:
        # Alternating, so that a machine that slows down slows both.
        turns = [await both_ends(ours, stage.sizes.calls, in_flight) for ours in (False, True) * stage.sizes.call_turns]
        bare, ours = _least(turns[0::2]), _least(turns[1::2])
        ceiling = Ceiling(_BARE, sum(bare.values()))
        what = f"{in_flight} in flight: CPU of both ends"
        rows.append(Row(NAME, what, "us", sum(ours.values()), ceiling, AIM_TIMES * ceiling.value, ours))
    guard = await guard_us(stage.sizes.calls)
    return [*rows, Row(NAME, "policy, caller, validation and errors", "us", guard, aim=AIM_GUARD_US)]


async def both_ends(ours: bool, calls: int, in_flight: int) -> dict[str, float]:
    """Microseconds of CPU of each end for one call."""
    async with callee(ours) as (port, pid), caller(ours, port, calls, in_flight) as load:
        meter = Meter({"server": pid, "client": load.pid})
        before = meter.cpu_s()
        await load.go()
        return each_us(meter.since(before), calls)


async def guard_us(calls: int) -> float:
    """Microseconds that the guard adds to a handler that does nothing, in this process; the caller value is verified, too."""
    signer = CallerSigner(Secret(b"b" * 32), "bench", SystemClock())
    guard, signed, asked = Guard(signer), [signer.sign(person) for person in people()], request()
    page = timeline_pb2.GetHomeResponse()

    async def nothing(*_: Any) -> timeline_pb2.GetHomeResponse:
        return page

    async def bare() -> None:
        for _ in range(calls):
            await nothing(asked, None)

    async def guarded() -> None:
        for number in range(calls):
            person = signer.verify(signed[number % len(signed)])
            await guard.run(_RPC, nothing, asked, person, 2.0, "")

    spent = []
    for way in (guarded, bare, guarded):
        begun = time.process_time()
        await way()
        spent.append(time.process_time() - begun)
    return (spent[2] - spent[1]) * 1e6 / calls


def _least(turns: list[dict[str, float]]) -> dict[str, float]:
    return min(turns, key=lambda turn: sum(turn.values()))
