"""What a process does with its memory once it is built, and when its background work ends in a way that nobody ordered."""

import asyncio
import dataclasses
import gc
from collections.abc import Iterator

import pytest

from runtime.config import MeshConfig
from runtime.service import Process
from stack.ports import pick_free
from tests.waiting import until

GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
PING, GOAWAY = 6, 7


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Leave the collector of this process as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


async def test_a_cancellation_that_nobody_ordered_is_a_crash(mesh_config: MeshConfig) -> None:
    """A future of a library that is cancelled within it must not end a consumer in silence."""

    async def work() -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    async def build(process: Process) -> None:
        process.background("work", work)

    with pytest.raises(RuntimeError, match="work: CancelledError"):
        await Process(dataclasses.replace(mesh_config, port=0, metrics_port=0)).run(build)


async def test_a_probe_that_is_cancelled_from_within_is_an_answer_and_no_crash(mesh_config: MeshConfig) -> None:
    """A client whose time runs out at the moment at which its server dies raises this; the process must not die of it, too."""
    asked = asyncio.Event()

    async def probe() -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    async def build(process: Process) -> None:
        async def work() -> None:
            await until(lambda: process._states.get("gone") == "CancelledError")
            asked.set()
            process._stopping.set()

        process.check("gone", probe)
        process.background("work", work)

    await Process(dataclasses.replace(mesh_config, port=0, metrics_port=0)).run(build)
    assert asked.is_set()


async def test_what_a_process_is_built_of_is_not_looked_through_for_garbage_while_it_serves(
    mesh_config: MeshConfig,
) -> None:
    """A collection stops the loop: of all modules and adapters it takes as long as many calls."""
    seen = []

    async def work() -> None:
        seen.append((gc.get_freeze_count(), gc.get_threshold()[0]))
        raise LookupError("seen")

    async def build(process: Process) -> None:
        assert not gc.get_freeze_count()
        process.background("work", work)

    with pytest.raises(LookupError, match="seen"):
        await Process(dataclasses.replace(mesh_config, port=0, metrics_port=0)).run(build)
    [(frozen, threshold)] = seen
    assert frozen > 10_000
    assert threshold == 3_000


async def test_pings_that_arrive_all_at_once_end_no_connection(mesh_config: MeshConfig) -> None:
    """So they do when this process stood still. Refused with GOAWAY (too_many_pings) its clients would lose every call at work."""
    [port] = pick_free(1)
    frames: list[int] = []

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ping = b"\0\0\10" + bytes([PING]) + bytes(5) + b"whoisthe"
        writer.write(GREETING + ping * 20)
        try:
            # A GOAWAY comes behind the answers to what arrived with it.
            for answers in (20, 21):
                while frames.count(PING) < answers and GOAWAY not in frames:
                    head = await reader.readexactly(9)
                    await reader.readexactly(int.from_bytes(head[:3]))
                    frames.append(head[3])
                writer.write(ping)
        finally:
            writer.transport.abort()
        raise LookupError("seen")

    async def build(process: Process) -> None:
        process.background("pings", ask)

    with pytest.raises(LookupError, match="seen"):
        await Process(dataclasses.replace(mesh_config, port=port, metrics_port=0)).run(build)
    assert GOAWAY not in frames
    assert frames.count(PING) == 21
