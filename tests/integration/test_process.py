"""What a process does when its background work ends in a way that nobody ordered."""

import asyncio
import dataclasses

import pytest

from runtime.config import MeshConfig
from runtime.service import Process


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
