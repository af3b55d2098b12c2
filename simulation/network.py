"""Calls between simulated processes: delays, lost peers, deadlines and the retries of the service config. What is called is node.py."""

import asyncio
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message
from grpc import aio

from in_process import Unconnected
from runtime import contract
from runtime.callers import CALLER_KEY, TRACE_KEY, CallerSigner
from runtime.channel import rpc_error, service_config
from runtime.context import carried
from runtime.errors import STATUS_KEY
from simulation.dice import Dice
from simulation.loop import NOBODY, SimulatedLoop
from simulation.node import Node

Metadata = tuple[tuple[str, Any], ...]

_VANISHED = 0.2
_TOKENS = 20.0


class Aborted(Exception):
    """An rpc ended with a status."""

    def __init__(self, code: grpc.StatusCode, detail: str, trailing: Sequence[tuple[str, bytes]]) -> None:
        self.error = rpc_error(code, detail, dict(trailing).get(STATUS_KEY))


class ServedContext:
    """What a handler of a gRPC server is given beside the request."""

    __slots__ = ("_ends", "_loop", "_metadata")

    def __init__(self, loop: SimulatedLoop, ends: float, metadata: Metadata) -> None:
        self._loop = loop
        self._ends = ends
        self._metadata = metadata

    def invocation_metadata(self) -> Metadata:
        """What came with the call."""
        return self._metadata

    def time_remaining(self) -> float:
        """Seconds until the caller's deadline."""
        return max(0.0, self._ends - self._loop.now)

    async def abort(self, code: grpc.StatusCode, detail: str, trailing: Sequence[tuple[str, bytes]] = ()) -> None:
        """End the call with a status."""
        raise Aborted(code, detail, trailing)


@cache
def _retries(contracts: tuple[FileDescriptor, ...]) -> dict[str, dict[str, Any]]:
    """The retry policies of the service config by path."""
    return {
        f"/{name['service']}/{name['method']}": each["retryPolicy"]
        for each in json.loads(service_config(contracts)).get("methodConfig", [])
        for name in each["name"]
        if "retryPolicy" in each
    }


class Network:
    """Knows which processes of an area run."""

    def __init__(self, loop: SimulatedLoop, dice: Dice) -> None:
        self.loop = loop
        self.dice = dice
        self._running: dict[str, list[Node]] = {}

    def join(self, node: Node) -> None:
        """The process takes calls from now on."""
        self._running.setdefault(node.area, []).append(node)
        node.on_death.append(lambda: self._running[node.area].remove(node))

    def one_of(self, area: str) -> Node | None:
        """A process that takes calls, as balancing might choose it."""
        running = self._running.get(area)
        return running[int(self.dice.roll() * len(running))] if running else None

    def later(self, callback: Any, *args: Any) -> None:
        """Call back after one way over the network."""
        self.loop.call_later(self.dice.hop(), callback, *args, context=NOBODY)


class Wire(Unconnected):
    """A channel of one process to all processes of an area; calls carry caller, time left and trace as over the ordinary one."""

    def __init__(self, network: Network, area: str, signer: CallerSigner, *contracts: FileDescriptor) -> None:
        self.network = network
        self.area = area
        self.signer = signer
        self.retries = _retries(contracts)
        self.tokens = _TOKENS

    def unary_unary(self, method: str, *_: Any, **__: Any) -> Any:
        """The callable of one rpc."""
        return WireCallable(self, method)


class WireCallable:
    """One rpc over a wire."""

    __slots__ = ("_deadline_s", "_loop", "_path", "_policy", "_signer", "_wire")

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire = wire
        self._path = path
        self._deadline_s = contract.method(path).deadline_s
        self._policy = wire.retries.get(path)
        self._loop = wire.network.loop
        self._signer = wire.signer

    def __call__(self, request: Message, *, timeout: float | None = None, **_: Any) -> "asyncio.Future[Any]":
        """Call. The time left of the work at hand bounds the timeout; without one the contract's deadline does."""
        caller, left, trace = carried()
        if timeout is not None and (left is None or timeout < left):
            left = timeout
        ends = self._loop.now + (self._deadline_s if left is None else max(0.0, left))
        signed = (CALLER_KEY, self._signer.sign(caller))
        metadata = (signed, (TRACE_KEY, trace)) if trace else (signed,)
        return Call(self._loop, self._wire, self._path, self._policy, request, metadata, ends)


class Call(asyncio.Future[Any]):
    """One call on its way, to be answered, refused or forgotten by others; the future of its answer.

    Who waits for it no longer makes that known to the other end.
    """

    __slots__ = (
        "_attempt",
        "_deadline",
        "_ends",
        "_metadata",
        "_network",
        "_path",
        "_policy",
        "_request",
        "_wire",
        "_work",
    )

    def __init__(
        self,
        loop: SimulatedLoop,
        wire: Wire,
        path: str,
        policy: dict[str, Any] | None,
        request: Message,
        metadata: Metadata,
        ends: float,
    ) -> None:
        super().__init__(loop=loop)
        self._wire = wire
        self._network = wire.network
        self._path = path
        self._policy = policy
        self._request = request
        self._metadata = metadata
        self._ends = ends
        self._attempt = 0
        self._work: asyncio.Task[None] | None = None
        self._deadline = loop.call_at(ends, self._late, context=NOBODY)
        self._try()

    def cancel(self, msg: Any | None = None) -> bool:
        """Wait no longer."""
        if not super().cancel(msg):
            return False
        self._given_up()
        return True

    def lost(self) -> None:
        """The process that serves it died: the connection breaks, or its machine is gone and nobody says anything."""
        self._work = None
        if self._network.dice.roll() > _VANISHED:
            self._network.later(self._answered, self._attempt, None, _unreached())

    def _try(self) -> None:
        self._attempt += 1
        self._network.later(self._arrives, self._network.one_of(self._wire.area))

    def _arrives(self, node: Node | None) -> None:
        if self.done():
            return
        if node is None or node.life.over:
            self._network.later(self._answered, self._attempt, None, _unreached())
            return
        node.calls[self] = None
        self._work = node.spawn(self._served(node, self._attempt))

    async def _served(self, node: Node, attempt: int) -> None:
        answer, error = None, None
        context = ServedContext(self._network.loop, self._ends, self._metadata)
        try:
            handler = await node.handler(self._path, self._metadata)
            if handler is None:
                error = rpc_error(grpc.StatusCode.UNIMPLEMENTED, f"{self._path} is not served", None)
            else:
                answer = await handler(self._request, context)
        except Aborted as aborted:
            error = aborted.error
        finally:
            node.calls.pop(self, None)
        self._network.later(self._answered, attempt, answer, error)

    def _answered(self, attempt: int, answer: Any, error: aio.AioRpcError | None) -> None:
        if self.done() or attempt != self._attempt:
            return
        wire = self._wire
        if error is None:
            wire.tokens = min(_TOKENS, wire.tokens + 0.1)
            self._deadline.cancel()
            self.set_result(answer)
            return
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            wire.tokens = max(0.0, wire.tokens - 1)
            policy = self._policy
            if policy is not None and attempt < policy["maxAttempts"] and wire.tokens > _TOKENS / 2:
                longest = float(policy["initialBackoff"][:-1]) * policy["backoffMultiplier"] ** (attempt - 1)
                self._network.loop.call_later(longest * self._network.dice.roll(), self._again, context=NOBODY)
                return
        self._deadline.cancel()
        self.set_exception(error)

    def _again(self) -> None:
        if not self.done():
            self._try()

    def _late(self) -> None:
        if not self.done():
            self.set_exception(rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time", None))
            self._given_up()

    def _given_up(self) -> None:
        self._deadline.cancel()
        # The work over there ends a moment later.
        if self._work is not None and not self._work.done():
            self._network.later(self._work.cancel)


def _unreached() -> aio.AioRpcError:
    return rpc_error(grpc.StatusCode.UNAVAILABLE, "the other end is gone", None)
