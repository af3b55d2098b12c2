"""Starts load processes and bare servers as processes of their own and holds them in step with the meter."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bench.cpu import Meter
from bench.load import WARM
from bench.orders import FloodOrder, Latencies, Liked, LikeOrder, Posted, PostOrder, ReadOrder
from stack.ports import HOST

_LINE_BYTES = 16 * 1024 * 1024
_KINDS: dict[type, str] = {ReadOrder: "read", PostOrder: "post", LikeOrder: "like"}


@dataclass(frozen=True)
class Target:
    """A server under load, and what it uses."""

    host: str
    port: int
    meter: Meter


class Load:
    """A load process that has warmed up."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def go(self) -> Any:
        """Let it work; what it saw. Raises RuntimeError when it fails, having said why on standard error."""
        await _tell(self._process, "go")
        return json.loads(await _heard(self._process))


@asynccontextmanager
async def warmed(order: ReadOrder | PostOrder | LikeOrder) -> AsyncIterator[Load]:
    """A load process with an order, up to the end of its warm-up; ended with the block."""
    async with _ordered("bench.load", [_KINDS[type(order)], asdict(order)]) as process:
        await _warm(process)
        yield Load(process)


@asynccontextmanager
async def flooding(order: FloodOrder) -> AsyncIterator[Load]:
    """A process that floods (flood.py) and was answered; told to go, it stops and says what it was answered from then on."""
    async with _ordered("bench.flood", asdict(order)) as process:
        await _warm(process)
        yield Load(process)


async def reads(order: ReadOrder, meter: Meter) -> tuple[Latencies, dict[str, float]]:
    """What clients saw and the CPU seconds that the metered processes used meanwhile."""
    async with warmed(order) as load:
        before = meter.cpu_s()
        seen = await load.go()
        return Latencies(**seen), meter.since(before)


async def posts(order: PostOrder, meter: Meter) -> tuple[Posted, dict[str, float]]:
    """What authors and readers saw and the CPU seconds that the metered processes used meanwhile."""
    async with warmed(order) as load:
        before = meter.cpu_s()
        seen = await load.go()
        spent = meter.since(before)
    arrivals = seen["arrivals"]
    return Posted(Latencies(**seen["posts"]), Latencies(**arrivals) if arrivals else None, seen["missing"]), spent


async def likes(order: LikeOrder, meter: Meter) -> tuple[Liked, dict[str, float]]:
    """What those who liked and who watched saw, and the CPU seconds that the metered processes used meanwhile."""
    async with warmed(order) as load:
        before = meter.cpu_s()
        seen = await load.go()
        spent = meter.since(before)
    visible = seen["visible"]
    return Liked(Latencies(**seen["likes"]), Latencies(**visible) if visible else None), spent


async def calls(calls: int, turns: int, in_flight: int) -> list[list[list[float]]]:
    """CPU seconds of client and server (peers.py) for so many calls, turn by turn: over a bare channel, over ours, on lines."""
    async with _ordered("bench.peers", ["serve", {}]) as server:
        ports = json.loads(await _heard(server))
        order = {"server": server.pid, "ports": ports, "calls": calls, "turns": turns, "in_flight": in_flight}
        async with _ordered("bench.peers", ["call", order]) as client:
            seen: list[list[list[float]]] = json.loads(await _heard(client))
            return seen


async def counts(redis_url: str, namespace: str, pages: int, in_flight: int) -> list[list[float]]:
    """Microseconds of CPU for a page of counts, turn by turn: by our reads, and by the bare commands (engage_reads.py)."""
    order = {"redis_url": redis_url, "namespace": namespace, "pages": pages, "in_flight": in_flight}
    async with _ordered("bench.engage_reads", order) as reader:
        turns: list[list[float]] = json.loads(await _heard(reader))
        return turns


@asynccontextmanager
async def bare_server(body: bytes) -> AsyncIterator[Target]:
    """A bare uvicorn with this body (bare.py), ended with the block."""
    async with _ordered("bench.bare", body.decode()) as process:
        port = int(await _heard(process))
        yield Target(HOST, port, Meter({"uvicorn": process.pid}))


@asynccontextmanager
async def stranger(share: float) -> AsyncIterator[None]:
    """Two processes of no use (busy.py), which together use so much of one processor; ended with the block."""
    async with _ordered("bench.busy", share / 2), _ordered("bench.busy", share / 2):
        yield


@asynccontextmanager
async def _ordered(module: str, order: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that was told its order; ended with the block."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=pipe, stdout=pipe, limit=_LINE_BYTES
    )
    try:
        await _tell(process, json.dumps(order))
        yield process
    finally:
        await _end(process)


async def _tell(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")
    await process.stdin.drain()


async def _warm(process: asyncio.subprocess.Process) -> None:
    if (line := await _heard(process)) != WARM:
        raise RuntimeError(f"the load process said {line!r} instead of {WARM!r}")


async def _heard(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of the benchmark ended with code {await process.wait()}")
    return line.decode().rstrip("\n")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()
