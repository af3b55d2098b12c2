"""One simulated process: its life, clock and fault points, and the rpcs that it serves. How calls reach it is network.py."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.faults import Faults
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import Uuid7Ids
from simulation.dice import Dice
from simulation.history import History
from simulation.loop import LIFE, Life, SimulatedLoop

if TYPE_CHECKING:
    from simulation.network import Call

EPOCH_MS = 1_760_000_000_000
"""What the clocks of servers show when a run begins."""
MESH_KEY = Secret(b"k" * 32)


class Killed(BaseException):
    """The process that runs this code is dead from here on; nobody must catch it."""


class SkewedClock:
    """A machine's clock, which may be ahead of the others or behind them."""

    def __init__(self, loop: SimulatedLoop, skew_ms: float = 0) -> None:
        self._loop = loop
        self._offset_us = int((EPOCH_MS + skew_ms) * 1000)

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return (self._offset_us + int(self._loop.now * 1_000_000)) // 1000

    def now_us(self) -> int:
        """Microseconds since 1970."""
        return self._offset_us + int(self._loop.now * 1_000_000)


class DeadlyFaults(Faults):
    """Fault points at which the dice may kill the process that passes."""

    def __init__(self, dice: Dice, node: "Node") -> None:
        super().__init__()
        self._dice = dice
        self._node = node

    def at(self, point: str) -> None:
        """Pass the point, or die there."""
        if self._dice.odds.dies and self._dice.roll() < self._dice.odds.dies:
            self._node.kill(point)
            raise Killed(point)


class _Details(NamedTuple):
    """As a gRPC server tells an interceptor of a call."""

    method: str
    invocation_metadata: tuple[tuple[str, Any], ...]


class Node:
    """A process from its start to its death; a new one of the same name begins with nothing but what servers keep."""

    def __init__(self, name: str, loop: SimulatedLoop, dice: Dice, history: History, skew_ms: float) -> None:
        self.name = name
        self.area = name.partition("#")[0]
        self.loop = loop
        self.dice = dice
        self.history = history
        self.life = Life()
        self.context = contextvars.Context()
        self.context.run(LIFE.set, self.life)
        self.clock = SkewedClock(loop, skew_ms)
        self.ids = Uuid7Ids(self.clock, dice.random.randbytes)
        self.faults = DeadlyFaults(dice, self)
        self.signer = CallerSigner(MESH_KEY, self.area, self.clock)
        self.calls: dict[Call, None] = {}
        self.on_death: list[Callable[[], None]] = []
        self.crashed: list[str] = []
        self.heart: asyncio.Task[None] | None = None
        """What beats four times a second; stopped when nothing more happens."""
        self._interceptor = GuardInterceptor(Guard(self.signer))
        self._handlers: dict[str, Any] = {}

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self.life.over

    def spawn(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Begin something in this process."""
        return self.loop.create_task(work, context=self.context.copy())

    def background(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> Any:
        """Run something as long as the process lives; that it ends by itself is a defect."""
        return self.spawn(self._watched(name, work))

    def kill(self, why: str) -> None:
        """End it as SIGKILL does: what it was doing stops where it is."""
        if self.life.over:
            return
        self.history.note(self.name, "dies", why)
        self.life.over = True
        for call in list(self.calls):
            call.lost()
        for tell in self.on_death:
            tell()

    def serve(self, add_to_server: Callable[[Any, Any], None], servicer: object) -> None:
        """Serve a servicer: `serve(add_TweetServiceServicer_to_server, servicer)`."""
        add_to_server(servicer, self)

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Part of a gRPC server's interface that generated code calls."""
        self._handlers |= {f"/{service_name}/{name}": handler for name, handler in method_handlers.items()}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Part of a gRPC server's interface that generated code calls; the registered handlers say the same."""

    async def handler(self, path: str, metadata: tuple[tuple[str, Any], ...]) -> Any:
        """What answers a call, behind the guard of an ordinary server; None when it is not served."""
        found = await self._interceptor.intercept_service(self._registered, _Details(path, metadata))
        return None if found is None else found.unary_unary

    async def _registered(self, details: _Details) -> Any:
        return self._handlers.get(details.method)

    async def _watched(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
            self.crashed.append(f"{self.name}: {name} ended by itself")
        except Exception as error:
            self.crashed.append(f"{self.name}: {name} crashed: {error!r}")
