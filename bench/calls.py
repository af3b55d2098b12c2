"""A unary call over the ordinary channel and on lines, both guarded, beside bare grpc.aio with the same handler; and the guard alone."""

import time
from typing import Any

from aviary.timeline.v1 import timeline_pb2

from bench import driver
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
AIM_LINES_TIMES = {1: 1.15, 8: 0.5, 64: 0.3}
AIM_GUARD_US = 25.0
_BARE = "bare grpc.aio, the same handler, both ends"
_PEOPLE = 64
_RPC = contract.method("/aviary.timeline.v1.TimelineService/GetHome")


async def run(stage: Stage) -> list[Row]:
    """CPU of client and server for one call at several numbers in flight, and what policy, caller, validation and errors add."""
    sizes = stage.sizes
    rows = []
    for in_flight in IN_FLIGHT:
        turns = await driver.calls(sizes.calls, sizes.call_turns, in_flight)
        for way, how, times in ((1, "", AIM_TIMES), (2, " on lines", AIM_LINES_TIMES[in_flight])):
            spent, ceiling = _median(turns, way, sizes.calls)
            each = each_us(dict(zip(("client", "server"), spent, strict=True)), sizes.calls)
            what = f"{in_flight} in flight{how}: CPU of both ends"
            rows.append(Row(NAME, what, "us", sum(each.values()), ceiling, times * ceiling.value, each))
    guard = min([await guard_us(sizes.calls) for _ in range(sizes.call_turns)])
    return [*rows, Row(NAME, "policy, caller, validation and errors", "us", guard, aim=AIM_GUARD_US)]


def _median(turns: list[list[list[float]]], way: int, calls: int) -> tuple[list[float], Ceiling]:
    """What a way of calling cost each end, beside the bare one, in the turn with the median ratio.

    Two programs that share a core slow each other, but all ways of a turn alike.
    """
    middle = sorted(turns, key=lambda turn: sum(turn[way]) / sum(turn[0]))[len(turns) // 2]
    return middle[way], Ceiling(_BARE, sum(middle[0]) * 1e6 / calls)


async def guard_us(calls: int) -> float:
    """Microseconds that the guard adds to a handler that does nothing, in this process; the caller value is verified, too."""
    signer = CallerSigner(Secret(b"b" * 32), "bench", SystemClock())
    guard, signed, asked = Guard(signer), [signer.sign(person) for person in people(_PEOPLE)], request()
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
