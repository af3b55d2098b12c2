"""One service process from start to drained stop: gRPC port, health, reflection, readiness, metrics and background work."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import uvicorn
import uvloop
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from runtime import telemetry
from runtime.callers import CallerSigner
from runtime.channel import UNCOMPRESSED
from runtime.config import ConfigError, MeshConfig
from runtime.context import told_to_stop
from runtime.faults import Faults
from runtime.guard import Guard, GuardInterceptor
from runtime.http import OpsApp, QuietServer
from runtime.ids import ClockProbe, SystemClock
from runtime.tls import Tls


class Configured(Protocol):
    """The configuration of a process: its own part and the mesh's."""

    @property
    def mesh(self) -> MeshConfig:
        """What every process of the mesh is told."""


C = TypeVar("C", bound=Configured)
Work = Callable[[], Awaitable[None]]

CHECK_EVERY_S = 0.5
CHECK_TIMEOUT_S = 2.0
DRAIN_S = 5.0
EXIT_CONFIGURATION = 2
_OPTIONS = [
    *UNCOMPRESSED,
    ("grpc.so_reuseport", 0),
    # Clients look their names up again when a connection ends: so a process that was added gets its share of calls.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    # Clients ask whether a silent process is there. Pings that came all at once when it stood still are no attack.
    ("grpc.http2.max_ping_strikes", 0),
]

log = telemetry.logger(__name__)


class Process:
    """What `server.py` builds a service on. Everything is registered first; `run` starts it and returns after the drain.

    How it reaches others is not known here: coalesced/process.py adds that.
    """

    def __init__(self, config: MeshConfig) -> None:
        self.config = config
        self.clock = SystemClock()
        self.signer = CallerSigner(config.mesh_key, config.area, self.clock)
        self.guard = Guard(self.signer, config.max_calls)
        self.tls = Tls(config.tls, config.area) if config.tls else None
        self.faults = Faults(config.fault_dir)
        self.ops = OpsApp(lambda: self._states)
        self.interceptor = GuardInterceptor(self.guard, self.tls)
        self._server = aio.server(interceptors=[self.interceptor], options=_OPTIONS)
        self._health = health.HealthServicer()
        self._names: list[str] = [reflection.SERVICE_NAME, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
        self._checks: dict[str, Work] = {"clock": ClockProbe(self.clock).check}
        self._states: dict[str, str] = {"start": "starting"}
        self._work: list[tuple[str, Work]] = []
        self._closers: list[Work] = []
        self._stopping = asyncio.Event()
        self._crash: BaseException | None = None

    def serve(self, add_to_server: Callable[[Any, Any], None], servicer: object) -> None:
        """Serve a servicer on the gRPC port: `serve(add_TweetServiceServicer_to_server, servicer)`."""
        add_to_server(servicer, self)

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Part of a gRPC server's interface that generated code calls; here a service's full name is known."""
        self._names.append(service_name)
        self._server.add_registered_method_handlers(service_name, method_handlers)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Part of a gRPC server's interface that generated code calls."""
        self._server.add_generic_rpc_handlers(handlers)

    def check(self, name: str, probe: Work) -> None:
        """Make readiness depend on a probe, which raises while its dependency does not answer."""
        self._checks[name] = probe

    def background(self, name: str, work: Work) -> None:
        """Run something until the process stops. Its crash or return stops the process: the supervisor starts a new one."""
        self._work.append((name, work))

    def on_close(self, close: Work) -> None:
        """Close something at the end; what was registered last is closed first."""
        self._closers.append(close)

    async def run(self, build: Callable[[Self], Awaitable[None]]) -> None:
        """Build, serve until SIGTERM or SIGINT, drain, close. Raises what crashed the process, if anything did."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        ops = QuietServer(
            uvicorn.Config(
                self.ops, host=self.config.host, port=self.config.metrics_port, log_config=None, lifespan="off"
            )
        )
        serving = asyncio.create_task(ops.serve())
        tasks: list[asyncio.Task[None]] = []
        try:
            if await self._until_stop(build(self)):
                _settle_memory()
                await self._listen()
                tasks = [asyncio.create_task(self._guarded(n, w)) for n, w in [*self._work, ("readiness", self._watch)]]
                await self._stopping.wait()
        finally:
            await self._drain(tasks)
            ops.should_exit = True
            await serving
        if self._crash is not None:
            raise self._crash

    async def stop_serving(self) -> None:
        """Take no more calls, and wait for those at work, at most 5 s."""
        await self._server.stop(DRAIN_S)

    async def _until_stop(self, building: Awaitable[None]) -> bool:
        """Finish building, unless the process is told to stop first: servers that are not there yet are waited for."""
        task = asyncio.ensure_future(building)
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            task.result()
            return True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return False

    async def _listen(self) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(self._names, self._server)
        where = f"{self.config.host}:{self.config.port}"
        if self.tls is None:
            self._server.add_insecure_port(where)
        else:
            self._server.add_secure_port(where, self.tls.server_credentials())
        await self._server.start()
        log.info("serving", port=self.config.port, metrics_port=self.config.metrics_port)

    async def _guarded(self, name: str, work: Work) -> None:
        try:
            await work()
            if not self._stopping.is_set():
                raise RuntimeError(f"background work {name} ended by itself")
        except BaseException as error:
            # A cancellation that nobody asked this task for came up from within: that is a crash like any other.
            if isinstance(error, asyncio.CancelledError) and told_to_stop():
                raise
            log.exception("background_crashed", work=name)
            self._crash = RuntimeError(f"{name}: {error!r}") if isinstance(error, asyncio.CancelledError) else error
            self._stopping.set()

    async def _watch(self) -> None:
        while True:
            names = list(self._checks)
            states = await asyncio.gather(*(self._probe(self._checks[name]) for name in names))
            self._states = dict(zip(names, states, strict=True))
            ready = all(state == "ok" for state in states)
            telemetry.READY.set(1 if ready else 0)
            await self._tell(ready)
            await asyncio.sleep(CHECK_EVERY_S)

    async def _tell(self, ready: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)

    async def _probe(self, probe: Work) -> str:
        try:
            await asyncio.wait_for(probe(), CHECK_TIMEOUT_S)
        except TimeoutError:
            return f"no answer within {CHECK_TIMEOUT_S:g} s"
        except (Exception, asyncio.CancelledError) as error:  # whatever a probe raises is the answer to /readyz
            if told_to_stop():
                raise
            return str(error) or type(error).__name__
        return "ok"

    async def _drain(self, tasks: list[asyncio.Task[None]]) -> None:
        self._states = {"stop": "stopping"}
        await self._tell(False)
        await self.stop_serving()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for close in reversed(self._closers):
            await close()


P = TypeVar("P", bound=Process)


def main(
    kind: Callable[[MeshConfig], P],
    read_config: Callable[[Mapping[str, str]], C],
    build: Callable[[P, C], Awaitable[None]],
) -> None:
    """Entry of every process: read the configuration, run a process of the kind, exit 2 with one line when it is wrong."""

    async def start(config: C) -> None:
        await kind(config.mesh).run(lambda process: build(process, config))

    try:
        config = read_config(os.environ)
        telemetry.configure_logging(config.mesh.area, os.environ.get("AVIARY_LOG_LEVEL", "INFO"))
        uvloop.run(start(config))
    except ConfigError as error:
        print(f"configuration: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIGURATION)


def _settle_memory() -> None:
    """Keep the collector of garbage out of the way of calls: it stops the loop, and looks at all that lives to find cycles.

    What is there now stays as long as the process. Of the rest the young are looked at when 3,000 objects more live than at the last
    look, not 700; those that stayed every 5th time, not 10th, so that there are fewer; and all, 50 ms for 60,000, every 1,000th, not 100th.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(3_000, 5, 200)


async def check_peer(channel: aio.Channel) -> None:
    """Probe for readiness: the process at the other end serves. Raises when it does not."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=CHECK_TIMEOUT_S)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise RuntimeError("is not ready itself")
