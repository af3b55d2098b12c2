"""What a bus promises, and how a handler is declared; nothing here knows NATS."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from runtime.bus.envelope import Envelope
from runtime.contract import Event, event
from runtime.errors import FailedPrecondition

M = TypeVar("M", bound=Message)
D = TypeVar("D")
Handler = Callable[[Any, Any], Awaitable[None]]
Stop = Callable[[], Awaitable[None]]


class Poison(FailedPrecondition):
    """This message can never be handled: it is set aside in the dead-letter stream at once."""


@dataclass(frozen=True, slots=True)
class Consumption:
    """How one durable consumer works."""

    event: Event
    durable: str
    concurrency: int = 32
    """Handlers that run at once in this process."""
    failures: int = 20
    """After so many failures of one kind, infrastructure apart, a message is set aside."""
    backoff_s: float = 0.2
    """Pause before the second try; it doubles up to `longest_backoff_s`."""
    longest_backoff_s: float = 30.0
    ack_wait_s: float = 30.0
    """Silence after which the bus gives the message to another process; a slow handler's message is kept by signs of life."""


def consumes(
    message: type[M],
    *,
    durable: str,
    concurrency: int = 32,
    failures: int = 20,
    backoff_s: float = 0.2,
    longest_backoff_s: float = 30.0,
    ack_wait_s: float = 30.0,
) -> Callable[[Callable[[M, D], Awaitable[None]]], Callable[[M, D], Awaitable[None]]]:
    """Declare `async def handler(event, deps)` as the durable consumer of a fact or job, shared by all processes that run it.

    Returning acknowledges. Raising Poison sets the message aside; Unavailable, DeadlineExceeded and an rpc that was UNAVAILABLE or
    late pause the consumer and try again for ever; anything else is tried `failures` times. Delivery is at least once, in no order.
    """
    consumption = Consumption(event(message), durable, concurrency, failures, backoff_s, longest_backoff_s, ack_wait_s)

    def mark(handler: Callable[[M, D], Awaitable[None]]) -> Callable[[M, D], Awaitable[None]]:
        setattr(handler, _MARK, consumption)
        return handler

    return mark


def consumption_of(handler: Handler) -> Consumption:
    """What `consumes` declared. Raises TypeError for a function that is not decorated."""
    found = getattr(handler, _MARK, None)
    if not isinstance(found, Consumption):
        raise TypeError(f"{handler!r} is not decorated with @consumes")
    return found


_MARK = "aviary_consumption"


class Delivery(Protocol):
    """One message in the hands of a consumer."""

    @property
    def payload(self) -> bytes:
        """The serialized event."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers as published."""

    @property
    def key(self) -> str:
        """Names the message within its durable, the same at every delivery."""

    @property
    def subject(self) -> str:
        """The subject without the namespace."""

    async def ack(self) -> None:
        """Done."""

    async def retry(self, delay_s: float) -> None:
        """Deliver it again, not before `delay_s`."""

    async def drop(self) -> None:
        """Never deliver it again."""


class Outcome(Enum):
    """How a delivery ended."""

    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"
    DOWN = "down"


class Deliver(Protocol):
    """Handles one delivery, settling it (ack, retry or drop); never raises."""

    async def __call__(self, delivery: Delivery, pause_s: float) -> Outcome:
        """`pause_s`: how long the message waits when a dependency is down."""


class Subscription(Protocol):
    """The consuming end of a durable."""

    async def run(self) -> None:
        """Deliver until cancelled."""


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """How far behind a durable is."""

    durable: str
    pending: int
    """Messages not yet delivered plus messages delivered and not acknowledged."""
    oldest_age_ms: int
    """Age of the oldest of them, 0 when there is none."""
    dead: int
    """Messages set aside."""


class Bus(Protocol):
    """Facts and jobs are kept until handled, at least once; signals reach who listens now, at most once."""

    producer: str
    """Service that publishes; its handlers act as this service."""

    async def declare(self, messages: Sequence[type[Message]]) -> None:
        """Make the streams of facts and jobs, or bring them up to date. Harmless to repeat, also from several processes at once."""

    async def publish(self, *messages: Message) -> None:
        """Store facts or jobs; returns when all are acknowledged. The same event_id again is stored once.

        Raises Unavailable within about 2 s; some may be stored then. A full stream refuses.
        """

    async def send(self, envelopes: Sequence[Envelope]) -> None:
        """As `publish`, for messages that are already packed."""

    async def signal(self, message: Message) -> None:
        """Tell whoever listens now. Raises Unavailable when the broker is away, so that nobody can have heard it."""

    async def listen(self, message: type[M], handler: Callable[[M], Awaitable[None]], receiver: bytes = b"") -> Stop:
        """Call `handler` for each signal to `receiver` (empty: to everybody), in the order of each sender. Await the result to stop."""

    def consume(self, consumption: Consumption, deliver: Deliver) -> Subscription:
        """The consuming end of a durable; it does nothing before `run` (a memory bus: before `settle`)."""

    async def bury(self, delivery: Delivery, durable: str, why: str) -> None:
        """Store the message in the dead-letter stream, once, with headers `why`, `subject`, `durable`. Raises Unavailable."""

    async def backlog(self, consumption: Consumption) -> ConsumerState:
        """How far behind a durable is. Raises Unavailable."""

    async def check(self) -> None:
        """Raises Unavailable within 1 s when the broker cannot store."""

    async def close(self) -> None:
        """Let go of the broker."""
