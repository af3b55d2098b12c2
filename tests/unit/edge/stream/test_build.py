"""The parts of a stream that run all the time."""

import asyncio
import dataclasses
from typing import Any

import pytest

from edge.stream.build import Stream
from runtime.bus import consumers
from tests.waiting import until


class Part:
    """Runs until it is cancelled."""

    def __init__(self) -> None:
        self.begun = 0

    async def run(self) -> None:
        self.begun += 1
        if self.begun == 1:
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            gone.cancel()
            await gone
        await asyncio.Event().wait()


async def test_a_part_that_is_cancelled_from_within_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """P59: nobody would be told that an edge writes its readers down no more."""
    monkeypatch.setattr(consumers, "_RESTART_S", 0.0)
    parts: list[Any] = [Part() for _ in range(4)]
    unused: Any = None
    names = ("attendance", "doorkeeper", "horizon", "watches")
    others = {field.name: unused for field in dataclasses.fields(Stream) if field.name not in names}
    stream = Stream(**dict(zip(names, parts, strict=True)), **others)
    running = asyncio.create_task(stream.run())
    await until(lambda: [part.begun for part in parts] == [2] * 4)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
