"""A bus within one process, for unit tests and simulation: the promises of NatsBus, without a server and without waiting."""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from runtime.bus.envelope import (
    Envelope,
    base_subject,
    envelope_of,
    headers_of,
    listening_subject,
    signal_subject,
    stream_name,
)
from runtime.bus.port import Answer, ConsumerState, Consumption, Deliver, Delivery, Outcome, Stop, Subscription
from runtime.contract import event
from runtime.errors import Unavailable
from runtime.telemetry import logger

M = TypeVar("M", bound=Message)
_IDLE_S = 0.005

log = logger(__name__)


@dataclass
class _Durable:
    """The messages of one durable that are not settled."""

    consumption: Consumption
    deliver: Deliver
    ready: deque[Envelope] = field(default_factory=deque)
    waiting: list[Envelope] = field(default_factory=list)
    """Sent back because a dependency is down."""
    in_hand: int = 0

    async def pump(self) -> bool:
        """Deliver what is ready; whether there was anything."""
        worked = bool(self.ready)
        while self.ready:
            await self._one(self.ready.popleft())
        return worked

    def wake(self) -> None:
        """Make ready what waits for a dependency."""
        self.ready.extend(self.waiting)
        self.waiting.clear()

    async def _one(self, envelope: Envelope) -> None:
        settled = False

        async def answer(what: Answer, _delay_s: float) -> None:
            nonlocal settled
            settled = what is not Answer.RETRY

        headers, key = headers_of(envelope, "memory"), envelope.event_id.hex()
        delivery = Delivery(envelope.payload, headers, envelope.subject, key, answer)
        outcome = Outcome.DOWN
        self.in_hand += 1
        try:
            outcome = await self.deliver(delivery, 0)
        finally:
            self.in_hand -= 1
            if not settled:
                (self.ready if outcome is Outcome.FAILED else self.waiting).append(envelope)


class MemoryBus:
    """Keeps the promises of `Bus`. A test may look at `published`, `signals` and `dead`, and set `down` to make it refuse."""

    def __init__(self, producer: str = "test") -> None:
        self.producer = producer
        self.down = False
        self.published: list[Any] = []
        self.signals: list[Any] = []
        self.dead: list[tuple[str, bytes, str]] = []
        """(durable, payload, why) of each message that was set aside."""
        self._types: dict[str, type[Message]] = {}
        self._places: dict[tuple[str, bytes], int] = {}
        self.kept: dict[str, list[Envelope]] = defaultdict(list)
        """What each stream holds, in its order."""
        self._durables: dict[str, _Durable] = {}
        self._listeners: dict[str, list[Callable[[Any], Awaitable[None]]]] = defaultdict(list)
        self._tell_reconnected: list[Callable[[], None]] = []

    async def declare(self, messages: Sequence[type[Message]]) -> None:
        """Know the messages; others cannot be published by `send`."""
        self._types.update({base_subject(event(message)): message for message in messages})

    async def publish(self, *messages: Message) -> list[int]:
        """Store facts or jobs once each; returns their places, which count from 1 in each stream. Raises Unavailable when `down`."""
        await self.declare([type(m) for m in messages])
        return await self.send([envelope_of(m) for m in messages])

    async def send(self, envelopes: Sequence[Envelope]) -> list[int]:
        """As `publish`; KeyError for an event that was never declared."""
        self._ensure_up()
        return [await self._store(envelope) for envelope in envelopes]

    async def _store(self, envelope: Envelope) -> int:
        base = envelope.subject.rpartition(".")[0]
        if base not in self._types:
            raise KeyError(
                f"{base} is published and was never declared: `await bus.declare([…])` first, as server.py does"
            )
        contract = event(self._types[base])
        identity = (stream_name(contract), envelope.event_id)
        if identity in self._places:
            return self._places[identity]
        self.kept[stream_name(contract)].append(envelope)
        place = self._places[identity] = len(self.kept[stream_name(contract)])
        for durable in self._durables.values():
            if base_subject(durable.consumption.event) == base:
                durable.ready.append(envelope)
        # What cannot be parsed is kept all the same: its handler shall meet it, as over a wire.
        with contextlib.suppress(DecodeError):
            self.published.append(message := contract.message.FromString(envelope.payload))
            await self._tell(f"{base}.*", message)
        return place

    async def signal(self, message: Message) -> None:
        """Call every listener; a failing one is logged. Raises Unavailable when `down`."""
        self._ensure_up()
        self.signals.append(message)
        await self._tell(signal_subject(message), message)

    async def listen(self, message: type[M], handler: Callable[[M], Awaitable[None]], receiver: bytes = b"") -> Stop:
        """Call `handler` for each signal to `receiver`, or each fact. Await the result to stop."""
        handlers = self._listeners[listening_subject(event(message), receiver)]
        handlers.append(handler)

        async def stop() -> None:
            handlers.remove(handler)

        return stop

    def on_reconnected(self, tell: Callable[[], None]) -> None:
        """Call back at `reconnect`."""
        self._tell_reconnected.append(tell)

    def reconnect(self) -> None:
        """The broker is there again."""
        self.down = False
        for tell in self._tell_reconnected:
            tell()

    def consume(self, consumption: Consumption, deliver: Deliver) -> Subscription:
        """The consuming end of a durable; consumers of one durable share its messages."""
        durable = self._durables.get(consumption.durable)
        if durable is None:
            durable = self._durables[consumption.durable] = _Durable(consumption, deliver)
            stream, base = stream_name(consumption.event), base_subject(consumption.event)
            durable.ready.extend(e for e in self.kept[stream] if e.subject.rpartition(".")[0] == base)

        async def run() -> None:
            while True:
                await durable.pump()
                await asyncio.sleep(_IDLE_S)
                durable.wake()

        return Subscription(run)

    async def settle(self) -> None:
        """Deliver all, and what that publishes, until nothing is left but messages whose dependency is down."""
        for durable in self._durables.values():
            durable.wake()
        busy = True
        while busy:
            busy = False
            for durable in self._durables.values():
                busy = await durable.pump() or durable.in_hand > 0 or busy
            await asyncio.sleep(0)

    async def bury(self, delivery: Delivery, durable: str, why: str) -> None:
        """Set a message aside in `dead`."""
        self._ensure_up()
        self.dead.append((durable, delivery.payload, why))

    async def backlog(self, consumption: Consumption) -> ConsumerState:
        """How far behind a durable is; time does not pass here, so ages are 0."""
        durable = self._durables[consumption.durable]
        pending = len(durable.ready) + len(durable.waiting) + durable.in_hand
        return ConsumerState(consumption.durable, pending, 0, sum(d == consumption.durable for d, _, _ in self.dead))

    async def check(self) -> None:
        """Raises Unavailable when `down`."""
        self._ensure_up()

    async def close(self) -> None:
        """Forget who consumes and listens."""
        self._durables.clear()
        self._listeners.clear()

    async def _tell(self, subject: str, message: Message) -> None:
        for handler in list(self._listeners[subject]):
            try:
                await handler(message)
            except Exception:
                log.exception("listener_failed", signal=event(type(message)).name)

    def _ensure_up(self) -> None:
        if self.down:
            raise Unavailable("the bus is down", retry_after_s=1)
