"""The two ends of a call as programs of their own, bare gRPC and both of our channels, with one handler; who compares them is calls.py.

The order comes as a line of JSON on standard input. A server prints its two ports; a client calls all three ways in turns, so that whatever
else the machine does meanwhile slows each, and prints what each turn cost each end.
"""

import asyncio
import json
import os
import sys
from typing import Any

import uvloop
from aviary.mesh.v1.line_pb2_grpc import add_LineServiceServicer_to_server
from aviary.timeline.v1 import timeline_pb2
from aviary.timeline.v1.timeline_pb2_grpc import (
    TimelineServiceServicer,
    TimelineServiceStub,
    add_TimelineServiceServicer_to_server,
)
from grpc import aio

import coalesced
from bench.cpu import exact_cpu_s
from coalesced import LineServicer
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import Secret
from runtime.context import ALL_SCOPES, Caller, acting, new_trace
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import SystemClock
from stack.ports import HOST

PAGE = 20
_KEY = Secret(b"b" * 32)
_WARM_TURNS = 3
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


def people(count: int) -> list[Caller]:
    """Signed-in users."""
    return [Caller(user_id=os.urandom(16), session_id=os.urandom(16), scopes=ALL_SCOPES) for _ in range(count)]


async def serve() -> None:
    """Serve until terminated: a bare port and one under the guard."""
    guard = GuardInterceptor(Guard(CallerSigner(_KEY, "callee", SystemClock())))
    servers = [aio.server(), aio.server(interceptors=[guard])]
    lines: Any = LineServicer(guard)
    add_TimelineServiceServicer_to_server(Homes(), lines)
    add_LineServiceServicer_to_server(lines, servers[1])
    ports = []
    for server in servers:
        add_TimelineServiceServicer_to_server(Homes(), server)
        ports.append(server.add_insecure_port(f"{HOST}:0"))
        await server.start()
    print(json.dumps(ports), flush=True)
    await asyncio.gather(*(server.wait_for_termination() for server in servers))


async def call(server: int, ports: list[int], calls: int, turns: int, in_flight: int) -> None:
    """Call as often as ordered in each turn, so many at a time, over the bare channel, over ours and on lines."""
    bare, ours = (f"{HOST}:{port}" for port in ports)
    signer, asked = CallerSigner(_KEY, "caller", SystemClock()), request()
    async with (
        aio.insecure_channel(bare) as bare_channel,
        open_channel(ours, signer, timeline_pb2.DESCRIPTOR) as our_channel,
        coalesced.open_channel(ours, signer, timeline_pb2.DESCRIPTOR) as line_channel,
    ):
        stubs: list[Any] = [TimelineServiceStub(channel) for channel in (bare_channel, our_channel, line_channel)]

        async def one_person(stub: Any, person: Caller) -> None:
            for number in range(calls // in_flight):
                # As in a service: the deadline of the work at hand, of which each call takes what is left, and its trace.
                with acting(person, _DEADLINE_S, traces[number]):
                    await stub.GetHome(asked, timeout=_DEADLINE_S)

        crowd = people(in_flight)
        traces = [new_trace() for _ in range(calls)]

        async def turn(stub: Any) -> list[float]:
            before = exact_cpu_s(os.getpid()), exact_cpu_s(server)
            await asyncio.gather(*(one_person(stub, person) for person in crowd))
            return [exact_cpu_s(os.getpid()) - before[0], exact_cpu_s(server) - before[1]]

        for _ in range(_WARM_TURNS):
            await asyncio.gather(*map(turn, stubs))
        seen = [[await turn(stub) for stub in stubs] for _ in range(turns)]
    print(json.dumps(seen), flush=True)


def main() -> None:
    """Do what the order says."""
    role, arguments = json.loads(sys.stdin.readline())
    uvloop.run(serve() if role == "serve" else call(**arguments))


if __name__ == "__main__":
    main()
