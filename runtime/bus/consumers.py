"""What happens to a delivered message: handled, tried again, or set aside. Where messages come from is the buses' part."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from runtime.bus.envelope import base_subject
from runtime.bus.port import Answer, Bus, ConsumerState, Delivery, Handler, Outcome, Poison, consumption_of
from runtime.context import Caller, acting, new_trace
from runtime.errors import ServiceError, Unavailable
from runtime.telemetry import EVENTS, logger

_REMEMBERED_FAILURES = 10_000
_LONGEST_BACKOFF_S = 30.0
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

log = logger(__name__)


class Consumers:
    """Runs handlers decorated with `@consumes` over a bus; `run` is a background task of the process."""

    def __init__(self, bus: Bus, handlers: Sequence[Handler], deps: Any) -> None:
        self._bus = bus
        self._workers = [_Worker(bus, handler, deps) for handler in handlers]
        self._runs = [bus.consume(w.consumption, w.deliver) for w in self._workers]

    async def run(self) -> None:
        """Consume until cancelled."""
        async with asyncio.TaskGroup() as group:
            for run in self._runs:
                group.create_task(run())

    async def backlog(self) -> list[ConsumerState]:
        """How far behind each durable is. Raises Unavailable."""
        return [await self._bus.backlog(w.consumption) for w in self._workers]


class _Worker:
    """One handler and the failures it had."""

    def __init__(self, bus: Bus, handler: Handler, deps: Any) -> None:
        self.consumption = consumption_of(handler)
        self._bus = bus
        self._handler = handler
        self._label = base_subject(self.consumption.event)
        self._deps = deps
        # Failures per message and kind. Another process counts for itself: a message may be tried more often, never less.
        self._failures: OrderedDict[str, Counter[str]] = OrderedDict()

    async def deliver(self, delivery: Delivery, pause_s: float) -> Outcome:
        """Handle one delivery and answer it; never raises."""
        try:
            outcome = await self._handle(delivery, pause_s)
        except Unavailable:
            # The broker did not hear the answer: the message comes again, and handlers bear that.
            outcome = Outcome.DOWN
        EVENTS.labels(self._label, outcome.value).inc()
        return outcome

    async def _handle(self, delivery: Delivery, pause_s: float) -> Outcome:
        try:
            message = self.consumption.event.message.FromString(delivery.payload)
            trace = delivery.headers.get("traceparent") or new_trace()
            with acting(Caller(service=self._bus.producer), trace=trace):
                await self._handler(message, self._deps)
        except DecodeError as error:
            return await self._set_aside(delivery, error)
        except Exception as error:
            return await self._failed(delivery, error, pause_s)
        self._failures.pop(delivery.key, None)
        await delivery.answer(Answer.ACK, 0)
        return Outcome.DONE

    async def _failed(self, delivery: Delivery, error: Exception, pause_s: float) -> Outcome:
        causes = list(_leaves(error))
        if any(isinstance(cause, Poison) for cause in causes):
            return await self._set_aside(delivery, error)
        other = [cause for cause in causes if not is_infrastructure(cause)]
        if not other:
            log.warning("consumer_waits", durable=self.consumption.durable, error=str(error), pause_s=pause_s)
            await delivery.answer(Answer.RETRY, pause_s)
            return Outcome.DOWN
        count = self._count(delivery.key, type(other[0]).__name__)
        log.error("handler_failed", durable=self.consumption.durable, failures=count, exc_info=error)
        if count >= self.consumption.failures:
            return await self._set_aside(delivery, other[0])
        await delivery.answer(Answer.RETRY, min(self.consumption.backoff_s * 2 ** (count - 1), _LONGEST_BACKOFF_S))
        return Outcome.FAILED

    async def _set_aside(self, delivery: Delivery, error: Exception) -> Outcome:
        durable, why = self.consumption.durable, f"{type(error).__name__}: {error}"
        await self._bus.bury(delivery, durable, why)
        await delivery.answer(Answer.DROP, 0)
        self._failures.pop(delivery.key, None)
        log.error("dead_letter", durable=durable, subject=delivery.subject, why=why)
        return Outcome.DEAD

    def _count(self, key: str, kind: str) -> int:
        kinds = self._failures.setdefault(key, Counter())
        self._failures.move_to_end(key)
        if len(self._failures) > _REMEMBERED_FAILURES:
            self._failures.popitem(last=False)
        kinds[kind] += 1
        return kinds[kind]


def is_infrastructure(error: Exception) -> bool:
    """Whether a dependency is away or late: that says nothing about the message."""
    if isinstance(error, aio.AioRpcError):
        return error.code() in _AWAY
    return isinstance(error, ServiceError) and error.status in _AWAY


def _leaves(error: Exception) -> Iterator[Exception]:
    """The failures themselves, where a task group packed them."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
