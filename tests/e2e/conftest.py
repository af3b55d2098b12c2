"""One stack of real processes for all tests that go through the edge."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from stack.ports import pick_free
from tests.e2e.aviary import Aviary, answers, until_async


@pytest.fixture(scope="package")
def aviary() -> Iterator[Aviary]:
    """Everything that `aviary up` starts, servers included, in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="av") as home:
        stack = Aviary(Path(home), {"AVIARY_NAMESPACE": "e2e"})
        stack.up()
        try:
            yield stack
        finally:
            stack.down()


@pytest_asyncio.fixture(scope="package")
async def other(aviary: Aviary) -> AsyncIterator[str]:
    """Where a second edge process of the same stack listens."""
    grpc, metrics, http = pick_free(3)
    ports = {"AVIARY_EDGE_PORT": grpc, "AVIARY_EDGE_METRICS_PORT": metrics, "AVIARY_HTTP_PORT": http}
    environment = {**os.environ, **aviary.running.environment(), **{name: str(port) for name, port in ports.items()}}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "edge.server", env=environment)
    url = f"http://127.0.0.1:{http}"
    try:
        async with httpx.AsyncClient() as client:
            await until_async(lambda: answers(client, f"{url}/readyz"), "the other edge did not become ready")
        yield url
    finally:
        process.terminate()
        await process.wait()
