"""The two ends of a call as programs of their own, ours or bare gRPC, with one handler; who compares them is calls.py.

The order comes as a line of JSON on standard input. A server prints its port; a client warms up, says so, waits for a line, calls, and
prints that it is done.
"""

import asyncio
import json
import os
import sys
from typing import Any

import uvloop
from aviary.timeline.v1 import timeline_pb2
from aviary.timeline.v1.timeline_pb2_grpc import (
    TimelineServiceServicer,
    TimelineServiceStub,
    add_TimelineServiceServicer_to_server,
)
from grpc import aio

from bench.load import WARM
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import Secret
from runtime.context import ALL_SCOPES, Caller, acting, new_trace
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import SystemClock
from stack.ports import HOST

DONE = "done"
PAGE = 20
_KEY = Secret(b"b" * 32)
_WARM_CALLS = 2000
_CALLERS = 64
_DEADLINE_S = 2.0


class Homes(TimelineServiceServicer):
    """Answers every GetHome with the same page."""

    def __init__(self) -> None:
        self._page = timeline_pb2.GetHomeResponse(tweet_ids=os.urandom(16 * PAGE), author_ids=os.urandom(16 * PAGE))

    async def GetHome(self, request: Any, context: Any) -> timeline_pb2.GetHomeResponse:  # noqa: N802 - the contract's name
        """The page."""
        return self._page


def request() -> timeline_pb2.GetHomeRequest:
    """What is asked."""
    return timeline_pb2.GetHomeRequest(user_id=os.urandom(16), limit=PAGE)


def people() -> list[Caller]:
    """Signed-in users, so many that they are not one."""
    return [Caller(user_id=os.urandom(16), session_id=os.urandom(16), scopes=ALL_SCOPES) for _ in range(_CALLERS)]


async def serve(ours: bool) -> None:
    """Serve until terminated."""
    guard = Guard(CallerSigner(_KEY, "callee", SystemClock()))
    server = aio.server(interceptors=[GuardInterceptor(guard)] if ours else [])
    add_TimelineServiceServicer_to_server(Homes(), server)
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


async def call(ours: bool, port: int, calls: int, in_flight: int) -> None:
    """Call as often as ordered, so many at a time."""
    address = f"{HOST}:{port}"
    signer = CallerSigner(_KEY, "caller", SystemClock())
    async with (
        open_channel(address, signer, timeline_pb2.DESCRIPTOR) if ours else aio.insecure_channel(address) as channel
    ):
        stub: Any = TimelineServiceStub(channel)
        callers, trace, asked = people(), new_trace(), request()

        async def some(count: int) -> None:
            for number in range(count):
                if ours:
                    with acting(callers[number % _CALLERS], _DEADLINE_S, trace):
                        await stub.GetHome(asked)
                else:
                    await stub.GetHome(asked, timeout=_DEADLINE_S)

        await asyncio.gather(*(some(_WARM_CALLS // in_flight) for _ in range(in_flight)))
        print(WARM, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(some(calls // in_flight) for _ in range(in_flight)))
        print(json.dumps(DONE), flush=True)


def main() -> None:
    """Do what the order says."""
    role, arguments = json.loads(sys.stdin.readline())
    uvloop.run(serve(**arguments) if role == "serve" else call(**arguments))


if __name__ == "__main__":
    main()
