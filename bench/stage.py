"""The stack that is measured: started for the run in a home of its own, with the settings of `make run` but one, and always taken down."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from aviary.mesh.v1 import mesh_pb2
from grpc import aio

from bench.cpu import Meter
from bench.sizes import Sizes
from ops import running
from ops.mesh import Mesh
from ops.running import Running
from runtime.config import Env, MeshConfig
from runtime.context import Caller, acting
from stack.ports import HOST

NAMESPACE = "bench"
_POLL_S = 0.2
_PATIENCE_S = 180.0
_NO_FSYNC = {"AVIARY_CASSANDRA_SKIP_SYNC": "1"}
"""At bad times a virtual disk answers one fsync in a hundred after 30 to 500 ms: then every p99 is the disk's. `disk` measures it."""


@dataclass(frozen=True)
class Stage:
    """A running stack and what benchmarks need of it."""

    stack: Running
    mesh: Mesh
    client: httpx.AsyncClient
    """To the edge."""
    meter: Meter
    sizes: Sizes
    servers_start_s: float
    """Of Cassandra, Redis and NATS alone, started before; everything was fetched by then."""
    start_s: float
    """Of the whole stack."""

    @property
    def http_port(self) -> int:
        """Where the edge listens, on HOST."""
        return int(self.stack.addresses["AVIARY_HTTP_PORT"])

    def config(self, namespace: str, area: str = "timeline") -> MeshConfig:
        """The configuration of a process of an area's on the same servers, whose names begin with another namespace."""
        ports = {f"AVIARY_{area.upper()}_{name}": "0" for name in ("PORT", "METRICS_PORT")}
        return replace(MeshConfig.read(area, Env({**self.stack.environment(), **ports})), namespace=namespace)

    def server_meter(self, name: str) -> Meter:
        """The meter of one process alone, by its name in `aviary ps`."""
        pid = self.stack.process(name).pid
        assert pid is not None
        return Meter({name: pid})

    async def settle(self) -> None:
        """Wait until nothing is on its way any more. Raises TimeoutError."""
        await settled(self.mesh)


async def settled(mesh: Mesh) -> None:
    """Wait until every outbox is empty and every consumer has handled what was published. Raises TimeoutError."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            if await _drained(mesh):
                return
            await asyncio.sleep(_POLL_S)


async def _drained(mesh: Mesh) -> bool:
    try:
        with acting(Caller()):
            asked = [stub.GetBacklog(mesh_pb2.GetBacklogRequest(), timeout=5) for stub in mesh.backlogs.values()]
            backlogs = await asyncio.gather(*asked)
    except aio.AioRpcError:
        return False
    return not any(b.outbox_rows or any(c.pending for c in b.consumers) for b in backlogs)


@asynccontextmanager
async def staged(sizes: Sizes) -> AsyncIterator[Stage]:
    """Start the servers alone (fetching what is missing), stop them, then start everything; the times are part of the result."""
    with tempfile.TemporaryDirectory(prefix="avb") as folder:
        environment = own_environment(Path(folder)) | _NO_FSYNC
        try:
            # Twice: the first start fetches, and fills the page cache.
            for _ in range(2):
                servers_start_s = await _timed(environment, "stack", "up", "--detach")
                await aviary(environment, "stack", "down")
        except BaseException:
            await aviary(environment, "stack", "down")
            raise
        async with _opened(environment, sizes, servers_start_s) as stage:
            yield stage


@asynccontextmanager
async def staged_on_disk(sizes: Sizes) -> AsyncIterator[Stage]:
    """Start everything just as `make run` does: what is acknowledged is on the disk."""
    with tempfile.TemporaryDirectory(prefix="avb") as folder:
        async with _opened(own_environment(Path(folder)), sizes, 0.0) as stage:
            yield stage


@asynccontextmanager
async def _opened(environment: Mapping[str, str], sizes: Sizes, servers_start_s: float) -> AsyncIterator[Stage]:
    async with started(environment) as (stack, start_s):
        base_url = f"http://{HOST}:{stack.addresses['AVIARY_HTTP_PORT']}"
        async with (
            Mesh(stack.environment(), "bench") as mesh,
            httpx.AsyncClient(base_url=base_url, timeout=30) as client,
        ):
            yield Stage(stack, mesh, client, Meter.of_stack(stack), sizes, servers_start_s, start_s)


@asynccontextmanager
async def started(environment: Mapping[str, str]) -> AsyncIterator[tuple[Running, float]]:
    """The whole stack of an environment and the seconds that its start took; taken down with the block."""
    try:
        start_s = await _timed(environment, "up", "--detach")
        yield running.load(Path(environment["AVIARY_HOME"])), start_s
    finally:
        await aviary(environment, "down")


def cancel_on_sigterm() -> None:
    """Let SIGTERM cancel the current task, so that whatever it has started is taken down."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)


def own_environment(home: Path) -> dict[str, str]:
    """The variables of a stack that shares nothing with another one: what Aviary reads is ours, whoever calls."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("AVIARY_")}
    return given | {"AVIARY_HOME": str(home), "AVIARY_PORTS": "free", "AVIARY_NAMESPACE": NAMESPACE}


async def aviary(environment: Mapping[str, str], *words: str) -> None:
    """Run the `aviary` command. Raises RuntimeError when it fails, having said why on standard error."""
    # Its other lines are for people who start a stack; ours are the results.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.cli", *words, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise RuntimeError(f"aviary {' '.join(words)} failed")


async def _timed(environment: Mapping[str, str], *words: str) -> float:
    begun = time.perf_counter()
    await aviary(environment, *words)
    return time.perf_counter() - begun
