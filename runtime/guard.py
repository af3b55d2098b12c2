"""What every served call passes, in one place and one order: room, deadline, caller, policy, defaults, validation, errors, metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, NoReturn

import protovalidate
from aviary.mesh.v1 import reason_pb2
from google.protobuf.message import Message
from grpc import aio

from runtime import telemetry
from runtime.admission import Admission
from runtime.callers import CALLER_KEY, TRACE_KEY, CallerRefused, CallerSigner, MayNotAssertUsers, ensure_spoken_by
from runtime.context import NOBODY, Caller, begin, end, told_to_stop
from runtime.contract import Method, method
from runtime.errors import (
    STATUS_KEY,
    DeadlineExceeded,
    FieldProblem,
    InvalidArgument,
    Overloaded,
    ServiceError,
    Unavailable,
    common,
    from_rpc,
    to_status,
)
from runtime.policy import ensure_may_call, ensure_own_ids
from runtime.tls import Tls, services_of

Behaviour = Callable[[Any, Any], Awaitable[Any]]

_STANDARD = ("/grpc.health.v1.Health/", "/grpc.reflection.")
_ROOM = 1000
_CANCELLED = common(reason_pb2.REASON_CANCELLED)
_VALIDATOR = protovalidate.Validator()
NO_RETRY = ("grpc-retry-pushback-ms", "-1")
"""Tells clients not to try a refused call again by themselves: retries are what an overloaded process needs least."""
# Of the call that the interceptor was asked about last in this task: reading it a second time would parse it a second time.
_metadata: ContextVar[Any] = ContextVar("metadata")

log = telemetry.logger(__name__)


class Guard:
    """Runs rpcs under their contract. The same object serves the ordinary port and the in-process channel."""

    def __init__(self, signer: CallerSigner, room: int = _ROOM) -> None:
        self.signer = signer
        self.admission = Admission(room)

    async def run(
        self,
        rpc: Method,
        behaviour: Behaviour,
        request: Message,
        caller: Caller,
        time_left: float | None,
        trace: str,
        *,
        ends_by_itself: bool = False,
    ) -> Message:
        """Answer one call, or raise a ServiceError: any other failure is logged. `ends_by_itself`: the time left is kept by who calls."""
        started = time.perf_counter()
        reason, entered = _CANCELLED, False
        ours = time_left is None or time_left > rpc.deadline_s
        deadline = rpc.deadline_s if time_left is None or ours else time_left
        work = begin(caller, deadline, trace)
        try:
            self.admission.enter(rpc.name, rpc.first)
            entered = True
            request = _judged(rpc, request, caller, deadline)
            if ends_by_itself and not ours:
                answer: Message = await behaviour(request, None)
            else:
                answer = await _bounded(rpc, behaviour, request, deadline)
        except (Exception, asyncio.CancelledError) as error:
            # A cancellation that nobody asked this call for came up from what it waited for: who called waits all the same.
            if isinstance(error, asyncio.CancelledError) and told_to_stop():
                raise
            failure = _meaning(rpc, error)
            reason = failure.reason
            if failure is error:
                raise
            raise failure from error
        else:
            reason = "OK"
            return answer
        finally:
            end(work)
            if entered:
                self.admission.leave()
            taken = time.perf_counter() - started
            if reason == _CANCELLED and taken >= deadline:
                reason = DeadlineExceeded.reason
            telemetry.SERVED.count(rpc.name, reason, taken)


def _judged(rpc: Method, request: Message, caller: Caller, deadline: float) -> Message:
    """The request with its defaults, once nothing speaks against the work."""
    if deadline <= 0:
        raise DeadlineExceeded(f"the time for {rpc.name} was over before it began")
    ensure_may_call(rpc, caller)
    if rpc.defaults:
        request = with_defaults(rpc, request)
    if not rpc.certain(request):
        ensure_valid(request)
    if rpc.caller_fields:
        ensure_own_ids(rpc, request, caller)
    return request


async def _bounded(rpc: Method, behaviour: Behaviour, request: Message, deadline: float) -> Message:
    try:
        async with asyncio.timeout(deadline) as limit:
            answer: Message = await behaviour(request, None)
            return answer
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineExceeded(f"{rpc.name} took longer than {deadline:.3g} s") from error


def _meaning(rpc: Method, error: BaseException) -> ServiceError:
    """What a caller shall see of a failure."""
    while isinstance(error, ExceptionGroup):
        # What failed first in a TaskGroup is why the call failed; the others were cancelled for it.
        error = error.exceptions[0]
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, aio.AioRpcError):
        return from_rpc(error)
    log.exception("rpc_failed", rpc=rpc.name)
    return ServiceError("something went wrong here; the log has it under the request id")


class GuardInterceptor(aio.ServerInterceptor):
    """Puts the guard before every rpc on an ordinary gRPC server; health and reflection alone pass as they are.
    With `tls` only what the other end is certified to be may speak, and for users only who may.
    """

    def __init__(self, guard: Guard, tls: Tls | None = None) -> None:
        self._guard = guard
        self._tls = tls
        self._told = 0.0
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """The handler of the call, guarded."""
        path: str = handler_call_details.method
        _metadata.set(handler_call_details.invocation_metadata)
        known = self._wrapped.get(path)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or path.startswith(_STANDARD):
            return handler
        rpc = method(path)
        if handler.unary_unary is None:
            handler = handler._replace(stream_stream=self._begun(rpc, handler.stream_stream))
        else:
            handler = handler._replace(unary_unary=self._guarded(rpc, handler.unary_unary))
        self._wrapped[path] = handler
        return handler

    def _begun(self, rpc: Method, behaviour: Behaviour) -> Behaviour:
        """A stream of calls (coalesced/): who begins it is judged here, each call on it as any other."""

        async def serve(requests: Any, context: aio.ServicerContext[Any, Any]) -> None:
            try:
                ensure_may_call(rpc, self._caller(dict(_metadata.get()).get(CALLER_KEY), context))
            except ServiceError as error:
                await _abort(context, error)
            await behaviour(requests, context)

        return serve

    def _guarded(self, rpc: Method, behaviour: Behaviour) -> Behaviour:
        async def serve(request: Message, context: aio.ServicerContext[Any, Any]) -> Any:
            metadata: dict[str, Any] = dict(_metadata.get())
            trace = metadata.get(TRACE_KEY, "")
            try:
                caller = self._caller(metadata.get(CALLER_KEY), context)
                left = context.time_remaining()
                return await self._guard.run(rpc, behaviour, request, caller, left, trace, ends_by_itself=True)
            except ServiceError as error:
                await _abort(context, error)

        return serve

    def _caller(self, signed: bytes | None, context: aio.ServicerContext[Any, Any]) -> Caller:
        """Who calls; NOBODY without a value. Raises CallerRefused and MayNotAssertUsers, which somebody has to look into."""
        if signed is None:
            return NOBODY
        try:
            caller = self._guard.signer.verify(signed)
            if self._tls is not None:
                ensure_spoken_by(caller, services_of(context.auth_context()), self._tls.may_assert_users)
        except (CallerRefused, MayNotAssertUsers) as error:
            # One line a second: whoever is misconfigured may call a thousand times in it.
            if time.monotonic() - self._told >= 1:
                self._told = time.monotonic()
                log.warning("caller_refused", peer=context.peer(), why=error.detail)
            raise
        return caller


async def _abort(context: aio.ServicerContext[Any, Any], error: ServiceError) -> NoReturn:
    """Tell the caller of a failure."""
    overloaded, failure = error.reason == Overloaded.reason, error
    if overloaded and not isinstance(error, Overloaded):
        # Somebody further on is; whoever asked us must not take us for it, and open a breaker before us.
        failure = Unavailable(error.detail, retry_after_s=error.retry_after_s)
    trailing: tuple[tuple[str, Any], ...] = ((STATUS_KEY, to_status(failure).SerializeToString()),)
    if overloaded:
        trailing = (*trailing, NO_RETRY)
    await context.abort(failure.status, failure.detail, trailing)


def with_defaults(rpc: Method, request: Message) -> Message:
    """The request with the contract's defaults in place of absent fields; the caller's own message is left alone."""
    missing = [(name, value) for name, value in rpc.defaults if not request.HasField(name)]
    if not missing:
        return request
    filled = rpc.request()
    filled.CopyFrom(request)
    for name, value in missing:
        setattr(filled, name, value)
    return filled


def ensure_valid(request: Message) -> None:
    """Raise InvalidArgument that names every field which breaks a rule of its contract."""
    try:
        _VALIDATOR.validate(request)
    except protovalidate.ValidationError as error:
        problems = [FieldProblem(_path(v.proto.field), v.proto.message or "is not allowed") for v in error.violations]
        text = "; ".join(f"{p.field}: {p.message}" for p in problems)
        raise InvalidArgument(text, fields=problems) from None


def _path(field: Any) -> str:
    steps = []
    for element in field.elements:
        index = getattr(element, "subscript", None)
        steps.append(element.field_name if index is None else f"{element.field_name}[{index.value}]")
    return ".".join(steps)
