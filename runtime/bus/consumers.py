"""What happens to a delivered message: handled, tried again, or set aside. Where messages come from is the buses' part."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from runtime.bus.port import Bus, ConsumerState, Consumption, Delivery, Handler, Outcome, Poison, consumption_of
from runtime.context import Caller, acting, new_trace
from runtime.errors import ServiceError, Unavailable
from runtime.telemetry import EVENTS, logger

_REMEMBERED_FAILURES = 10_000
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

log = logger(__name__)


class Consumers:
    """Runs handlers decorated with `@consumes` over a bus; `run` is a background task of the process."""

    def __init__(self, bus: Bus, handlers: Sequence[Handler], deps: Any) -> None:
        self._bus = bus
        self._workers = [_Worker(bus, handler, deps) for handler in handlers]
        self._subscriptions = [bus.consume(w.consumption, w.deliver) for w in self._workers]

    async def run(self) -> None:
        """Consume until cancelled."""
        async with asyncio.TaskGroup() as group:
            for subscription in self._subscriptions:
                group.create_task(subscription.run())

    async def backlog(self) -> list[ConsumerState]:
        """How far behind each durable is. Raises Unavailable."""
        return [await self._bus.backlog(w.consumption) for w in self._workers]


class _Worker:
    """One handler and the failures it had."""

    def __init__(self, bus: Bus, handler: Handler, deps: Any) -> None:
        self.consumption: Consumption = consumption_of(handler)
        self._bus = bus
        self._handler = handler
        self._deps = deps
        # Failures per message and kind. Another process counts for itself: a message may be tried more often, never less.
        self._failures: OrderedDict[str, dict[str, int]] = OrderedDict()

    async def deliver(self, delivery: Delivery, pause_s: float) -> Outcome:
        """Handle one delivery and settle it; never raises but CancelledError, which gives the message back at once."""
        try:
            outcome = await self._settle(delivery, pause_s)
        except asyncio.CancelledError:
            await self._give_back(delivery)
            raise
        EVENTS.labels(self.consumption.event.name, outcome.value).inc()
        return outcome

    async def _settle(self, delivery: Delivery, pause_s: float) -> Outcome:
        try:
            await self._handle(delivery)
        except Exception as error:
            return await self._failed(delivery, error, pause_s)
        self._failures.pop(delivery.key, None)
        try:
            await delivery.ack()
        except Unavailable:
            # The message comes again; handlers bear that.
            return Outcome.DOWN
        return Outcome.DONE

    async def _handle(self, delivery: Delivery) -> None:
        try:
            message = self.consumption.event.message.FromString(delivery.payload)
        except DecodeError as error:
            raise Poison("the message cannot be parsed") from error
        trace = delivery.headers.get("traceparent") or new_trace()
        with acting(Caller(service=self._bus.producer), trace=trace):
            await self._handler(message, self._deps)

    async def _failed(self, delivery: Delivery, error: Exception, pause_s: float) -> Outcome:
        if is_infrastructure(error):
            log.warning("consumer_waits", durable=self.consumption.durable, error=str(error), pause_s=pause_s)
            return await self._later(delivery, pause_s, Outcome.DOWN)
        count = self._count(delivery.key, type(error).__name__)
        log.error("handler_failed", durable=self.consumption.durable, failures=count, exc_info=error)
        if isinstance(error, Poison) or count >= self.consumption.failures:
            return await self._bury(delivery, error, pause_s)
        pause = min(self.consumption.backoff_s * 2 ** (count - 1), self.consumption.longest_backoff_s)
        return await self._later(delivery, pause, Outcome.FAILED)

    async def _bury(self, delivery: Delivery, error: Exception, pause_s: float) -> Outcome:
        try:
            await self._bus.bury(delivery, self.consumption.durable, f"{type(error).__name__}: {error}")
            await delivery.drop()
        except Unavailable:
            return await self._later(delivery, pause_s, Outcome.DOWN)
        self._failures.pop(delivery.key, None)
        log.error("dead_letter", durable=self.consumption.durable, subject=delivery.subject, why=str(error))
        return Outcome.DEAD

    async def _later(self, delivery: Delivery, delay_s: float, outcome: Outcome) -> Outcome:
        try:
            await delivery.retry(delay_s)
        except Unavailable:
            # Nobody hears us: the message comes again by itself when its ack_wait is over.
            return Outcome.DOWN
        return outcome

    async def _give_back(self, delivery: Delivery) -> None:
        await self._later(delivery, 0, Outcome.FAILED)

    def _count(self, key: str, kind: str) -> int:
        kinds = self._failures.setdefault(key, {})
        self._failures.move_to_end(key)
        if len(self._failures) > _REMEMBERED_FAILURES:
            self._failures.popitem(last=False)
        kinds[kind] = kinds.get(kind, 0) + 1
        return kinds[kind]


def is_infrastructure(error: Exception) -> bool:
    """Whether a dependency is away: that says nothing about the message."""
    if isinstance(error, aio.AioRpcError):
        return error.code() in _AWAY
    if isinstance(error, BaseExceptionGroup):
        return all(isinstance(e, Exception) and is_infrastructure(e) for e in error.exceptions)
    return isinstance(error, ServiceError) and error.status in _AWAY
