"""What a bus promises, and how a handler is declared; nothing here knows NATS."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from runtime.bus.envelope import Envelope
from runtime.contract import Event, event
from runtime.errors import FailedPrecondition, Unavailable

M = TypeVar("M", bound=Message)
D = TypeVar("D")
Handler = Callable[[Any, Any], Awaitable[None]]
Run = Callable[[], Coroutine[Any, Any, None]]
Stop = Callable[[], Awaitable[None]]
_MARK = "aviary_consumption"


class Full(Unavailable):
    """The stream holds as much as it may: it refuses, and what was not stored stays where it was."""


class Poison(FailedPrecondition):
    """This message can never be handled: it is set aside in the dead-letter stream at once."""


@dataclass(frozen=True, slots=True)
class Consumption:
    """How one durable consumer works: `concurrency` handlers at once in a process; a message that failed `failures` times in
    one way is set aside; `backoff_s` before the second try, doubling; a message of a process that gave no sign of life for
    `ack_wait_s` goes to another.
    """

    event: Event
    durable: str
    concurrency: int
    failures: int
    backoff_s: float
    ack_wait_s: float


def consumes(
    message: type[M],
    *,
    durable: str,
    concurrency: int = 32,
    failures: int = 20,
    backoff_s: float = 0.2,
    ack_wait_s: float = 30.0,
) -> Callable[[Callable[[M, D], Awaitable[None]]], Callable[[M, D], Awaitable[None]]]:
    """Declare `async def handler(event, deps)` as the durable consumer of a fact or job, shared by all processes that run it.

    Returning acknowledges. Raising Poison sets the message aside; Unavailable, DeadlineExceeded and an rpc that ended so
    pause the consumer and try again for ever; anything else is tried `failures` times. Delivery is at least once, in no order.
    """
    consumption = Consumption(event(message), durable, concurrency, failures, backoff_s, ack_wait_s)

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


class Answer(Enum):
    """What a consumer says about a message."""

    ACK = "done"
    RETRY = "deliver it again, not before the given seconds"
    DROP = "never deliver it again"


@dataclass(frozen=True, eq=False, slots=True)
class Delivery:
    """One message in the hands of a consumer."""

    payload: bytes
    headers: Mapping[str, str]
    subject: str
    """Without the namespace."""
    key: str
    """Names the message within its durable, the same at every delivery."""
    answer: Callable[[Answer, float], Awaitable[None]]
    """Raises Unavailable when the broker cannot hear it; the message then comes again by itself."""
    place: int = 0
    """Where it stands in a stream whose order matters (package `ordered`)."""


class Outcome(Enum):
    """How a delivery ended."""

    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"
    DOWN = "down"
    FULL = "full"
    """It would be set aside, but the dead-letter stream takes no more: it is tried again later."""


Deliver = Callable[[Delivery, float], Awaitable[Outcome]]
"""Handles one delivery and answers it; never raises. The seconds say how long it waits when a dependency is down."""


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """How far behind a durable is: `pending` counts messages not delivered, or not acknowledged; `oldest_age_ms` is the age of
    the oldest of them, 0 when there is none; `dead` counts messages set aside. Of the pending ones `in_hand` are with a
    process; `progress` grows with each delivery or answer. `fill`: how full its stream or, if fuller, the dead-letter stream is.
    """

    durable: str
    pending: int
    oldest_age_ms: int
    dead: int
    in_hand: int = 0
    progress: int = 0
    fill: float = 0.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """The consuming end of a durable in one process."""

    run: Run
    """Consumes until cancelled."""
    at_work: Callable[[], bool] = lambda: True
    """Whether handlers have messages in hand, or a pause lasts for a missing dependency."""
    silent_s: Callable[[], float] = lambda: 0.0
    """For how long the broker has said nothing although it was asked for messages."""
    renew: Callable[[], None] = lambda: None
    """Subscribe anew; what is in hand goes on."""


class Bus(Protocol):
    """Facts and jobs are kept until handled, at least once; signals reach who listens now, at most once."""

    producer: str
    """Service that publishes; its handlers act as this service."""

    async def declare(self, messages: Sequence[type[Message]]) -> None:
        """Make the streams of facts and jobs, or bring them up to date. Harmless to repeat, also from several processes at once."""

    async def publish(self, *messages: Message) -> list[int]:
        """Store facts or jobs; returns the place of each when all are acknowledged. The same event_id again is stored once.

        A place is the creation of the stream in microseconds + the sequence in it; of an event that the stream has, the first's.
        Raises Unavailable within about 2 s; some may be stored then. A full stream refuses.
        """

    async def send(self, envelopes: Sequence[Envelope]) -> list[int]:
        """As `publish`, for messages that are already packed."""

    async def signal(self, message: Message) -> None:
        """Tell whoever listens now. Raises Unavailable when the broker is away, so that nobody can have heard it."""

    async def listen(self, message: type[M], handler: Callable[[M], Awaitable[None]], receiver: bytes = b"") -> Stop:
        """Call `handler` for each signal to `receiver` (empty: to everybody), in the order of each sender. Await the result to stop.

        Of facts, it is called for each that is published while it listens, at most once: for caches that only save work.
        """

    def on_reconnected(self, tell: Callable[[], None]) -> None:
        """Call back whenever the broker is there again after it was away: signals between were lost."""

    def consume(self, consumption: Consumption, deliver: Deliver) -> Subscription:
        """The consuming end of a durable (over a memory bus `settle` runs it)."""

    async def bury(self, delivery: Delivery, durable: str, why: str) -> None:
        """Store the message in the dead-letter stream, once. Raises Unavailable, or Full when it takes no more."""

    async def backlog(self, consumption: Consumption) -> ConsumerState:
        """How far behind a durable is. Raises Unavailable."""

    async def check(self) -> None:
        """Raises Unavailable within 1 s when the broker cannot store."""

    async def close(self) -> None:
        """Let go of the broker."""
