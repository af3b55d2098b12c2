"""The ordinary channel to another process, a `grpc.aio.Channel` for generated stubs; the one within a process is in_process/."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from aviary.options.v1 import options_pb2
from google.protobuf.descriptor import FileDescriptor
from grpc import aio

from runtime import contract, telemetry
from runtime.breaker import Breaker, Turn
from runtime.callers import CALLER_KEY, TRACE_KEY, CallerSigner
from runtime.context import carried
from runtime.contract import Method
from runtime.errors import STATUS_KEY, DeadlineExceeded, Overloaded, ServiceError, from_rpc, to_status
from runtime.tls import DOMAIN, Tls

log = telemetry.logger(__name__)

_UNREACHABLE = (
    "it does not run, or one side refuses the other: AVIARY_TLS_* set at one end only, a certificate that has expired, is of"
    " another CA or for another name; the log of the other end has the handshake"
)
# What a call keeps of its time: its caller can still tell what became of it, and gRPC, which rounds up, gives nobody more than was left.
_KEPT = 0.01
UNCOMPRESSED = [("grpc.per_message_compression", 0), ("grpc.per_message_decompression", 0)]
"""Nobody compresses what is sent in the mesh, so neither end looks at each message whether it is compressed."""
_OPTIONS = [
    *UNCOMPRESSED,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
    # A peer that hangs behind a name with others is left within 8 s, whichever ping it owes an answer to.
    ("grpc.keepalive_time_ms", 4_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.http2.ping_timeout_ms", 4_000),
    # Names are asked again when a connection ends; half a minute between two questions would be long.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
]


def service_config(contracts: Sequence[FileDescriptor]) -> str:
    """Balancing over all addresses of a name, and retries of what may be repeated, throttled when most calls fail."""
    repeatable = [
        {"service": m.service, "method": m.name}
        for file in contracts
        for service in file.services_by_name.values()
        for m in contract.methods(service.full_name)
        if m.effect != options_pb2.EFFECT_CREATE
    ]
    retry = {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
    }
    if repeatable:
        config["methodConfig"] = [{"name": repeatable, "retryPolicy": retry}]
    return json.dumps(config)


def open_channel(
    address: str,
    signer: CallerSigner,
    *contracts: FileDescriptor,
    tls: Tls | None = None,
    over: Callable[[aio.Channel], aio.Channel] = lambda connection: connection,
) -> aio.Channel:
    """A channel to the service at `host:port` or `dns:///name:port`. Calls carry caller, time left and trace by themselves.

    `contracts` are the files whose services are called (`tweet_pb2.DESCRIPTOR`); their repeatable rpcs are retried. With `tls`
    the other end must be certified to be the service of the first of them. A peer that does not answer is not asked (breaker.py).
    `over` makes of the connection what carries the calls: by itself gRPC does, one by one.
    """
    target = contracts[0].package.split(".")[1]
    options: list[tuple[str, Any]] = [*_OPTIONS, ("grpc.service_config", service_config(contracts))]
    if tls is None:
        return MeshChannel(over(aio.insecure_channel(address, options=options)), signer, target, address)
    service = target + DOMAIN
    options.append(("grpc.default_authority", service))
    inner = aio.secure_channel(address, tls.channel_credentials(), options=options)
    return MeshChannel(over(inner), signer, target, f"{address} as {service}")


class MeshCallable(aio.UnaryUnaryMultiCallable):  # type: ignore[type-arg]
    """One rpc of the ordinary channel; adds what travels with a call, and asks only a peer that answers."""

    def __init__(self, inner: Any, rpc: Method, signer: CallerSigner, breaker: Breaker) -> None:
        self._inner = inner
        self._rpc = rpc
        self._signer = signer
        self._breaker = breaker

    def __call__(self, request: Any, *, timeout: float | None = None, **_: Any) -> Any:
        """The call as a coroutine. Its time is less than the timeout, the time left of the work at hand and the contract's deadline."""
        caller, left, trace = carried()
        limit = self._rpc.deadline_s
        if timeout is not None and timeout < limit:
            limit = timeout
        if left is not None and left < limit:
            limit = left
        signed = (CALLER_KEY, self._signer.sign(caller))
        metadata = tuple.__new__(_Pairs, (signed, (TRACE_KEY, trace)) if trace else (signed,))
        return self._run(request, limit * (1 - _KEPT), metadata)

    async def _run(self, request: Any, limit: float, metadata: aio.Metadata) -> Any:
        try:
            if limit <= 0:
                raise DeadlineExceeded(f"the time for {self._rpc.name} was over before it was called")
            turn = self._breaker.enter()
        except ServiceError as error:
            raise as_rpc_error(error) from error
        try:
            answer = await self._inner(request, timeout=limit, metadata=metadata)
        except aio.AioRpcError as error:
            self._judge(error, turn)
            raise
        except asyncio.CancelledError:
            self._breaker.silent(turn)
            raise
        self._breaker.answered(turn)
        return answer

    def _judge(self, error: aio.AioRpcError, turn: Turn) -> None:
        """A failure with our details came from the peer, which is there then; that its own dependencies are not does not count."""
        told = STATUS_KEY in (error.trailing_metadata() or ())
        if not told and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._breaker.silent(turn)
        elif from_rpc(error).reason == Overloaded.reason if told else error.code() is grpc.StatusCode.UNAVAILABLE:
            self._breaker.failed(turn)
        else:
            self._breaker.answered(turn)


class _Pairs(tuple[tuple[str, Any], ...], aio.Metadata):  # type: ignore[misc]  # nobody looks keys up in it
    """Metadata that is only sent, made by `tuple.__new__`: gRPC's own `__init__` makes a dictionary of lists first."""


class UnaryChannel(aio.Channel):
    """What our channels share: only unary rpcs exist in our contracts."""

    async def __aenter__(self) -> "UnaryChannel":
        """The channel itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    def unary_stream(self, *_: Any, **__: Any) -> Any:
        """Refused: no contract of ours streams."""
        raise TypeError("the contracts of the mesh hold unary rpcs only")

    stream_unary = stream_stream = unary_stream


class OverConnection(UnaryChannel):
    """A channel over another one, which is the connection."""

    def __init__(self, inner: aio.Channel) -> None:
        self._inner = inner

    def unary_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, *_: Any, **__: Any
    ) -> Any:
        """The callable of a standard rpc such as Health.Watch, which the stub of Health makes together with Check."""
        if method.startswith("/aviary."):
            return super().unary_stream(method)
        return self._inner.unary_stream(method, request_serializer, response_deserializer)

    async def close(self, grace: float | None = None) -> None:
        """Close the connections."""
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Connectivity of the channel."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state is another."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel is connected."""
        await self._inner.channel_ready()


class MeshChannel(OverConnection):
    """A grpc.aio channel whose calls carry the signed caller, the time left and the trace. `peer` is its other end in the log.
    What comes first has a breaker of its own: an overloaded peer goes on serving it when it refuses the rest.
    """

    def __init__(self, inner: aio.Channel, signer: CallerSigner, target: str, peer: str) -> None:
        super().__init__(inner)
        self._signer = signer
        self._breakers = {False: Breaker(target), True: Breaker(f"{target}.first")}
        self._watching = asyncio.ensure_future(self._watch(peer))

    def unary_unary(self, method: str, *coders: Any, **options: Any) -> Any:
        """The callable of one rpc."""
        inner = self._inner.unary_unary(method, *coders, **options)
        if not method.startswith("/aviary."):
            return inner
        rpc = contract.method(method)
        return MeshCallable(inner, rpc, self._signer, self._breakers[rpc.first])

    async def close(self, grace: float | None = None) -> None:
        """Close the connections."""
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await super().close(grace)

    async def _watch(self, peer: str) -> None:
        """Say once for each time that the other end is lost what to look at: a refused handshake looks like a dead process."""
        state = self.get_state()
        while state is not grpc.ChannelConnectivity.SHUTDOWN:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                log.warning("peer_unreachable", peer=peer, hint=_UNREACHABLE)
            await self.wait_for_state_change(state)
            state = self.get_state()


def as_rpc_error(error: ServiceError) -> aio.AioRpcError:
    """The same failure as a caller over the network would see it."""
    return rpc_error(error.status, error.detail, to_status(error).SerializeToString())


def rpc_error(code: grpc.StatusCode, detail: str, status: bytes | None) -> aio.AioRpcError:
    """The error that a call over the network raises for this status."""
    trailing = aio.Metadata() if status is None else aio.Metadata((STATUS_KEY, status))
    return aio.AioRpcError(code, aio.Metadata(), trailing, detail)
