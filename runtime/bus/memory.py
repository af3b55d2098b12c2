"""A bus within one process, for unit tests and simulation: the promises of NatsBus, without a server and without waiting."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import Message

from runtime.bus.envelope import (
    Envelope,
    base_subject,
    envelope_of,
    listening_subject,
    signal_subject,
    stream_name,
)
from runtime.bus.port import ConsumerState, Consumption, Deliver, Delivery, Outcome, Stop
from runtime.contract import event
from runtime.errors import Unavailable
from runtime.telemetry import logger

M = TypeVar("M", bound=Message)

log = logger(__name__)


@dataclass
class MemoryDelivery:
    """A message of a MemoryBus in the hands of a consumer."""

    payload: bytes
    subject: str
    key: str
    headers: Mapping[str, str]
    settled: bool = False

    async def ack(self) -> None:
        """Done."""
        self.settled = True

    async def retry(self, delay_s: float) -> None:
        """Deliver it again."""

    async def drop(self) -> None:
        """Never deliver it again."""
        self.settled = True


@dataclass
class MemorySubscription:
    """The consuming end of a durable of a MemoryBus."""

    consumption: Consumption
    deliver: Deliver
    ready: deque[MemoryDelivery] = field(default_factory=deque)
    waiting: list[MemoryDelivery] = field(default_factory=list)
    """Messages that a missing dependency sent back: the next `settle` tries them."""
    in_hand: int = 0

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self.pump()
            await asyncio.sleep(0.005)
            self.wake()

    async def pump(self) -> bool:
        """Deliver what is ready; whether there was anything."""
        worked = bool(self.ready)
        while self.ready:
            delivery = self.ready.popleft()
            self.in_hand += 1
            try:
                outcome = await self.deliver(delivery, 0)
            finally:
                self.in_hand -= 1
                if not delivery.settled:
                    self.waiting.append(delivery)
            if not delivery.settled and outcome is not Outcome.DOWN:
                self.waiting.remove(delivery)
                self.ready.append(delivery)
        return worked

    def wake(self) -> None:
        """Make ready what waits for a dependency."""
        self.ready.extend(self.waiting)
        self.waiting.clear()


class MemoryBus:
    """Keeps the promises of `Bus`. A test may look at `published`, `signals` and `dead`, and set `down` to make it refuse."""

    def __init__(self, producer: str = "test") -> None:
        self.producer = producer
        self.down = False
        self.published: list[Message] = []
        self.signals: list[Message] = []
        self.dead: list[tuple[str, bytes, str]] = []
        """(durable, payload, why) of each message that was set aside."""
        self._types: dict[str, type[Message]] = {}
        self._seen: set[tuple[str, bytes]] = set()
        self._log: dict[str, list[MemoryDelivery]] = {}
        self._subscriptions: list[MemorySubscription] = []
        self._listeners: dict[str, list[Callable[[Any], Awaitable[None]]]] = {}

    async def declare(self, messages: Sequence[type[Message]]) -> None:
        """Know the messages; only declared ones can be published."""
        for message in messages:
            contract = event(message)
            self._types[base_subject(contract)] = message
            stream_name(contract)

    async def publish(self, *messages: Message) -> None:
        """Store facts or jobs once each. Raises Unavailable when `down`."""
        await self.declare([type(m) for m in messages])
        await self.send([envelope_of(m) for m in messages])

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        """As `publish`, for messages that are already packed."""
        self._ensure_up()
        for envelope in envelopes:
            base = envelope.subject.rpartition(".")[0]
            contract = event(self._types[base])
            identity = (stream_name(contract), envelope.event_id)
            if identity in self._seen:
                continue
            self._seen.add(identity)
            self.published.append(contract.message.FromString(envelope.payload))
            headers = {"Nats-Msg-Id": envelope.event_id.hex(), "aviary-producer": self.producer}
            if envelope.trace:
                headers["traceparent"] = envelope.trace
            entries = self._log.setdefault(base, [])
            entries.append(MemoryDelivery(envelope.payload, envelope.subject, str(len(entries)), headers))
            for subscription in self._subscriptions:
                if base_subject(subscription.consumption.event) == base:
                    subscription.ready.append(_fresh(entries[-1]))

    async def signal(self, message: Message) -> None:
        """Call every listener; a failing one is logged. Raises Unavailable when `down`."""
        self._ensure_up()
        self.signals.append(message)
        for handler in list(self._listeners.get(signal_subject(message), [])):
            try:
                await handler(message)
            except Exception:
                log.exception("listener_failed", signal=event(type(message)).name)

    async def listen(self, message: type[M], handler: Callable[[M], Awaitable[None]], receiver: bytes = b"") -> Stop:
        """Call `handler` for each signal to `receiver`. Await the result to stop."""
        handlers = self._listeners.setdefault(listening_subject(event(message), receiver), [])
        handlers.append(handler)

        async def stop() -> None:
            handlers.remove(handler)

        return stop

    def consume(self, consumption: Consumption, deliver: Deliver) -> MemorySubscription:
        """The consuming end of a durable; `settle` delivers, or its `run`."""
        subscription = MemorySubscription(consumption, deliver)
        subscription.ready.extend(_fresh(d) for d in self._log.get(base_subject(consumption.event), []))
        self._subscriptions.append(subscription)
        return subscription

    async def settle(self) -> None:
        """Deliver all, and what that publishes, until nothing is left but messages whose dependency is down."""
        for subscription in self._subscriptions:
            subscription.wake()
        busy = True
        while busy:
            busy = False
            for subscription in self._subscriptions:
                busy = await subscription.pump() or subscription.in_hand > 0 or busy
            await asyncio.sleep(0)

    async def bury(self, delivery: Delivery, durable: str, why: str) -> None:
        """Remember a message that was set aside in `dead`."""
        self._ensure_up()
        self.dead.append((durable, delivery.payload, why))

    async def backlog(self, consumption: Consumption) -> ConsumerState:
        """How far behind a durable is; ages are not known here and count as 0."""
        pending = sum(
            len(s.ready) + len(s.waiting) + s.in_hand
            for s in self._subscriptions
            if s.consumption.durable == consumption.durable
        )
        dead = sum(durable == consumption.durable for durable, _, _ in self.dead)
        return ConsumerState(consumption.durable, pending, 0, dead)

    async def check(self) -> None:
        """Raises Unavailable when `down`."""
        self._ensure_up()

    async def close(self) -> None:
        """Forget everything."""
        self._subscriptions.clear()
        self._listeners.clear()

    def _ensure_up(self) -> None:
        if self.down:
            raise Unavailable("the bus is down", retry_after_s=1)


def _fresh(delivery: MemoryDelivery) -> MemoryDelivery:
    return MemoryDelivery(delivery.payload, delivery.subject, delivery.key, delivery.headers)
