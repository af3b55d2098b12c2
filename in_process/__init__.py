"""Calls within one process: a channel that hands messages to a servicer, without bytes, under the same guard as the port.

The view plane in the edge is called so, and so is every service in its unit tests; calls to another process are runtime/channel.py.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc import aio

from runtime import contract
from runtime.channel import UnaryChannel, as_rpc_error, rpc_error
from runtime.context import Caller, carried
from runtime.contract import Method
from runtime.errors import ServiceError
from runtime.guard import Behaviour, Guard


class Unconnected(UnaryChannel):
    """What channels share that are no connection: nothing is opened, nothing closed, and they are always ready."""

    async def close(self, grace: float | None = None) -> None:
        """Nothing is open."""

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Always ready: who does not answer is noticed by the call."""
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Never returns: the state does not change."""
        await asyncio.Event().wait()

    async def channel_ready(self) -> None:
        """Always ready."""


class InProcessChannel(Unconnected):
    """Calls servicers of the same process under the same guard, without bytes; failures are the same AioRpcError.

    `service` is the name that calls assert, as a process of that name would; empty passes the caller on as it is.
    """

    def __init__(self, guard: Guard, service: str = "") -> None:
        self._guard = guard
        self._service = service
        self._behaviours: dict[str, Behaviour] = {}

    def register(self, add_to_server: Callable[[Any, Any], None], servicer: object) -> None:
        """Serve a servicer: `register(add_TweetServiceServicer_to_server, servicer)`."""
        add_to_server(servicer, self)

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Part of a gRPC server's interface that generated code calls."""
        for name, handler in method_handlers.items():
            self._behaviours[f"/{service_name}/{name}"] = handler.unary_unary

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Part of a gRPC server's interface that generated code calls; the registered handlers say the same."""

    def unary_unary(self, method: str, *_: Any, **__: Any) -> Any:
        """The callable of one rpc."""
        return InProcessCallable(self._guard, self._service, contract.method(method), self._behaviours)


class InProcessCallable(aio.UnaryUnaryMultiCallable):  # type: ignore[type-arg]
    """One rpc of the in-process channel."""

    def __init__(self, guard: Guard, service: str, rpc: Method, behaviours: dict[str, Behaviour]) -> None:
        self._guard = guard
        self._service = service
        self._rpc = rpc
        self._behaviours = behaviours

    def __call__(self, request: Any, *, timeout: float | None = None, **_: Any) -> Any:
        """The call as a coroutine: it starts when it is awaited. The time left of the work at hand bounds the timeout."""
        caller, left, trace = carried()
        if timeout is not None and (left is None or timeout < left):
            left = timeout
        return self._run(request, caller, left, trace)

    async def _run(self, request: Message, caller: Caller, left: float | None, trace: str) -> Message:
        behaviour = self._behaviours.get(self._rpc.path)
        if behaviour is None:
            raise rpc_error(grpc.StatusCode.UNIMPLEMENTED, f"{self._rpc.path} is not registered", None)
        if self._service:
            caller = self._guard.signer.asserted(caller)
        try:
            return await self._guard.run(self._rpc, behaviour, request, caller, left, trace)
        except ServiceError as error:
            raise as_rpc_error(error) from error
