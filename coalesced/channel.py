"""The channel to another process of the mesh: a `grpc.aio.Channel` for generated stubs, whose calls share streams (lines.py)."""

import asyncio
from typing import Any

import grpc
from aviary.options.v1 import options_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError
from grpc import aio

from coalesced.line import Call
from coalesced.lines import RENEW_S, Lines
from coalesced.retries import Retries
from runtime import channel, contract
from runtime.callers import CALLER_KEY, TRACE_KEY, CallerSigner
from runtime.channel import OverConnection, rpc_error
from runtime.contract import Method
from runtime.guard import NO_RETRY
from runtime.tls import Tls


def open_channel(
    address: str, signer: CallerSigner, *contracts: FileDescriptor, tls: Tls | None = None, renew_s: float = RENEW_S
) -> aio.Channel:
    """As runtime.channel.open_channel in every promise, to a process that serves lines (serving.py).

    `renew_s`: seconds between two looks at which processes are there.
    """

    def lines(connection: aio.Channel) -> aio.Channel:
        return LineChannel(connection, signer, renew_s)

    return channel.open_channel(address, signer, *contracts, tls=tls, over=lines)


class LineChannel(OverConnection):
    """Calls of our contracts over lines; standard rpcs such as Health.Check go over the connection one by one."""

    def __init__(self, connection: aio.Channel, signer: CallerSigner, renew_s: float) -> None:
        super().__init__(connection)
        self._lines = Lines(connection, signer, renew_s)
        self._retries = Retries()

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *_: Any, **__: Any
    ) -> Any:
        """The callable of one rpc."""
        if not method.startswith("/aviary."):
            return self._inner.unary_unary(method, request_serializer, response_deserializer)
        rpc = contract.method(method)
        return LineCallable(self._lines, self._retries, rpc, request_serializer, response_deserializer)

    async def close(self, grace: float | None = None) -> None:
        """Close the lines, then the connections."""
        await self._lines.close()
        await super().close(grace)


class LineCallable(aio.UnaryUnaryMultiCallable):  # type: ignore[type-arg]
    """One rpc over lines. What may be repeated is, as the service config of the ordinary channel says."""

    def __init__(self, lines: Lines, retries: Retries, rpc: Method, serialize: Any, parse: Any) -> None:
        self._lines = lines
        self._retries = retries
        self._rpc = rpc
        self._repeatable = rpc.effect != options_pb2.EFFECT_CREATE
        self._serialize = serialize
        self._parse = parse

    def __call__(self, request: Any, *, timeout: float | None = None, metadata: Any = (), **_: Any) -> Any:
        """The call as a coroutine: it starts when it is awaited. Of the metadata caller and trace are sent.

        All attempts together end with the timeout.
        """
        return self._run(request, self._rpc.deadline_s if timeout is None else timeout, dict(iter(metadata)))

    async def _run(self, request: Any, timeout: float, said: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        data = self._serialize(request)
        failed = 0
        while True:
            call = Call(self._rpc.path, data, said.get(CALLER_KEY, b""), said.get(TRACE_KEY, ""), end)
            try:
                answer = await self._attempt(call, loop)
            except aio.AioRpcError as error:
                failed += 1
                pause = self._pause_s(error, failed)
                if pause is None or loop.time() + pause >= end:
                    raise
                await asyncio.sleep(pause)
            else:
                if self._repeatable:
                    self._retries.answered()
                return self._parsed(answer)

    async def _attempt(self, call: Call, loop: asyncio.AbstractEventLoop) -> bytes:
        timer = loop.call_at(call.end, call.expire)
        try:
            self._lines.carry(call)
            return await call.answer
        except asyncio.CancelledError:
            if call.line is not None:
                call.line.withdraw(call)
            raise
        finally:
            timer.cancel()

    def _pause_s(self, error: aio.AioRpcError, failed: int) -> float | None:
        if not self._repeatable or error.code() is not grpc.StatusCode.UNAVAILABLE:
            return None
        return self._retries.pause_s(failed, final=NO_RETRY in tuple(error.trailing_metadata() or ()))

    def _parsed(self, answer: bytes) -> Any:
        try:
            return self._parse(answer)
        except DecodeError as error:
            text = f"the answer to {self._rpc.name} cannot be read: {error}"
            raise rpc_error(grpc.StatusCode.INTERNAL, text, None) from error
