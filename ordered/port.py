"""What ordered work is given and must promise; nothing here knows NATS."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from runtime.bus.port import ConsumerState, Delivery, Subscription


@dataclass(frozen=True, slots=True)
class Item:
    """A fact. `place` is where it stands in the stream, `at` orders states for ever: a replayed dead letter has a new place and
    keeps the `at` that it had at first; of every other fact they are equal.
    """

    event: Any
    at: int
    place: int


@dataclass(frozen=True, slots=True)
class Slice:
    """The next facts of a partition, in the order of their stream; maybe none, when only the position is to be moved.

    A place is the creation of the stream in microseconds + the sequence in it: it grows with each message, also over a stream
    that was made again. `until` is the place to store as position, in one write with the effect. Who took the partition over
    later has the greater `epoch`: of two that work at once it tells the stale one. `lost`: messages behind the stored position
    may have left the stream unread, by age or with the stream.
    """

    partition: int
    epoch: int
    items: Sequence[Item]
    until: int
    lost: bool


class Ordered(Protocol):
    """Work on facts of one family that must see those of a partition in their order, one slice after the other.

    A process owns a partition by a lease, which saves work; correctness rests on the position alone, since for a moment a
    stale owner may work beside the new one, and a slice may come again.
    """

    durable: str
    messages: Sequence[type[Message]]

    async def load(self, partition: int) -> int:
        """The position stored last, 0 when there is none. Called when the partition was taken over."""

    async def positions(self) -> Mapping[int, int]:
        """The stored positions of all partitions that have one, whoever owns them. Raises Unavailable."""

    async def handle(self, piece: Slice) -> None:
        """Do the work and store the position. May raise as handlers of `consumes` do: Poison is set aside, the rest comes again.

        A missing dependency is waited for, for ever; meanwhile the partition stands still, and no other one.
        """


@dataclass(frozen=True, slots=True)
class Piece:
    """A slice whose messages are not parsed yet."""

    partition: int
    epoch: int
    found: Sequence[Delivery]
    until: int
    lost: bool = False


Hand = Callable[[Piece], Awaitable[None]]
"""Returns when the piece is done, however long that takes; the next one of its partition comes then."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """The part of a process in a durable."""

    subscription: Subscription
    """Owns a fair share of the partitions while it runs; what is in hand when it is cancelled is finished."""
    backlog: Callable[[], Awaitable[ConsumerState]]
    """How far behind the durable is, all partitions of it; may be asked in a process that owns none. Raises Unavailable."""


class Source(Protocol):
    """Where pieces come from."""

    def partitions(self, work: Ordered, hand: Hand) -> Ownership:
        """The part of a process in a durable. Raises ValueError when the facts are not of one family."""
