"""What happens to a delivered message: handled, tried again, or set aside. Where messages come from is the buses' part."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from runtime.bus.envelope import ONLY_FOR, base_subject
from runtime.bus.port import Answer, Bus, ConsumerState, Delivery, Full, Handler, Outcome, Poison, consumption_of
from runtime.bus.watch import LOOK_S, STUCK_S, Watch
from runtime.context import Caller, acting, new_trace, told_to_stop
from runtime.errors import ServiceError, Unavailable, from_rpc
from runtime.telemetry import EVENTS, logger

_REMEMBERED_FAILURES = 10_000
_LONGEST_BACKOFF_S = 30.0
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_FULL_S = 5.0
_RESTART_S = 1.0

log = logger(__name__)


class Consumers:
    """Runs handlers decorated with `@consumes` over a bus: `run` is a background task of the process, `check` a probe."""

    def __init__(
        self, bus: Bus, handlers: Sequence[Handler], deps: Any, *, look_s: float = LOOK_S, stuck_s: float = STUCK_S
    ) -> None:
        """Every `look_s` metrics are taken; a durable that does not move for `stuck_s` with nothing at work is mended."""
        workers = [_Worker(bus, handler, deps) for handler in handlers]
        self._watches = [
            Watch(c.durable, partial(bus.backlog, c), bus.consume(c, worker.deliver), look_s, stuck_s)
            for c, worker in ((worker.consumption, worker) for worker in workers)
        ]

    async def run(self) -> None:
        """Consume until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(until_told(watch.durable, watch.subscription.run))
                group.create_task(until_told(watch.durable, watch.look))

    async def check(self) -> None:
        """Raises Unavailable when a durable is not delivered, although the broker is there."""
        for watch in self._watches:
            watch.check()

    async def backlog(self) -> list[ConsumerState]:
        """How far behind each durable is. Raises Unavailable."""
        return [await watch.backlog() for watch in self._watches]


async def until_told(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do it. A cancellation that comes from within, out of a library, is no order to stop, and a task group would not notice it."""
    while not told_to_stop():
        try:
            return await work()
        except asyncio.CancelledError:
            if told_to_stop():
                raise
            log.exception("cancelled_from_within", work=name)
            await asyncio.sleep(_RESTART_S)


class _Worker:
    """One handler and the failures it had."""

    def __init__(self, bus: Bus, handler: Handler, deps: Any) -> None:
        self.consumption = consumption_of(handler)
        self._bus = bus
        self._handler = handler
        label = base_subject(self.consumption.event)
        self._outcomes = {outcome: EVENTS.labels(label, outcome.value) for outcome in Outcome}
        self._caller = Caller(service=bus.producer)
        self._deps = deps
        self._failures = Failures(self.consumption.failures)

    async def deliver(self, delivery: Delivery, pause_s: float) -> Outcome:
        """Handle one delivery and answer it; never raises."""
        try:
            outcome = await self._handle(delivery, pause_s)
        except Unavailable:
            # The broker did not hear the answer: the message comes again, and handlers bear that.
            outcome = Outcome.DOWN
        self._outcomes[outcome].inc()
        return outcome

    async def _handle(self, delivery: Delivery, pause_s: float) -> Outcome:
        if delivery.headers.get(ONLY_FOR, self.consumption.durable) == self.consumption.durable:
            try:
                message = self.consumption.event.message.FromString(delivery.payload)
                with acting(self._caller, trace=delivery.headers.get("traceparent") or new_trace()):
                    await self._handler(message, self._deps)
            except asyncio.CancelledError:
                if told_to_stop():
                    raise
                return await self._failed(delivery, RuntimeError("cancelled from within"), pause_s)
            except Exception as error:
                return await self._failed(delivery, error, pause_s)
        self._failures.forget(delivery.key)
        await delivery.answer(Answer.ACK, 0)
        return Outcome.DONE

    async def _failed(self, delivery: Delivery, error: Exception, pause_s: float) -> Outcome:
        durable = self.consumption.durable
        outcome, cause, count = self._failures.judge(delivery.key, error)
        if outcome is Outcome.DEAD:
            if not await set_aside(self._bus, delivery, durable, cause):
                await delivery.answer(Answer.RETRY, _FULL_S)
                return Outcome.FULL
            await delivery.answer(Answer.DROP, 0)
            self._failures.forget(delivery.key)
        elif outcome is Outcome.DOWN:
            log.warning("consumer_waits", durable=durable, error=str(error), pause_s=pause_s)
            await delivery.answer(Answer.RETRY, pause_s)
        else:
            log.error("handler_failed", durable=durable, failures=count, exc_info=error)
            await delivery.answer(Answer.RETRY, backoff_s(self.consumption.backoff_s, count))
        return outcome


class Failures:
    """Counts failures by message and kind. Another process counts for itself: a message may be tried more often, never less."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._counts: OrderedDict[str, Counter[str]] = OrderedDict()

    def judge(self, key: str, error: Exception) -> tuple[Outcome, Exception, int]:
        """DOWN when only dependencies are away, DEAD for what can never be handled or failed too often, else FAILED; why; how often."""
        causes = list(_leaves(error))
        for cause in causes:
            if isinstance(cause, (Poison, DecodeError)):
                return Outcome.DEAD, cause, 1
        other = [cause for cause in causes if not is_infrastructure(cause)]
        if not other:
            return Outcome.DOWN, error, 0
        kinds = self._counts.setdefault(key, Counter())
        self._counts.move_to_end(key)
        if len(self._counts) > _REMEMBERED_FAILURES:
            self._counts.popitem(last=False)
        kind = type(other[0]).__name__
        kinds[kind] += 1
        return (Outcome.DEAD if kinds[kind] >= self._allowed else Outcome.FAILED), other[0], kinds[kind]

    def forget(self, key: str) -> None:
        """The message is settled."""
        self._counts.pop(key, None)


async def set_aside(bus: Bus, delivery: Delivery, durable: str, cause: Exception) -> bool:
    """Put a message among the dead letters; False when they take no more. Raises Unavailable."""
    why = f"{type(cause).__name__}: {cause}"
    try:
        await bus.bury(delivery, durable, why)
    except Full:
        # The durable goes on with others. Nothing is lost: whoever empties the stream sees this one arrive there.
        fate = "dead_letters_full"
    else:
        fate = "dead_letter"
    log.error(fate, durable=durable, subject=delivery.subject, why=why)
    return fate == "dead_letter"


def backoff_s(first_s: float, count: int) -> float:
    """The pause after the `count`th failure: doubling, 30 s at most."""
    return min(first_s * 2.0 ** (count - 1), _LONGEST_BACKOFF_S)


def is_infrastructure(error: Exception) -> bool:
    """Whether a dependency is away or late: that says nothing about the message."""
    if isinstance(error, aio.AioRpcError):
        error = from_rpc(error)
    return isinstance(error, ServiceError) and error.status in _AWAY


def _leaves(error: Exception) -> Iterator[Exception]:
    """The failures themselves, where a task group packed them."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
