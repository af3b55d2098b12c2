"""A broker on the simulated network: at least once, in no order, sometimes twice; the handle that each process has of it is a Bus."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import Message

from runtime.bus.envelope import (
    Envelope,
    base_subject,
    envelope_of,
    headers_of,
    listening_subject,
    signal_subject,
    stream_name,
)
from runtime.bus.port import (
    Answer,
    ConsumerState,
    Consumption,
    Deliver,
    Delivery,
    Outcome,
    Stop,
    Subscription,
)
from runtime.contract import Event, event
from runtime.errors import Unavailable
from simulation.dice import Dice
from simulation.history import History
from simulation.loop import NOBODY, SimulatedLoop, pause
from simulation.node import Node
from simulation.servers import Server, at_once, for_ever

M = TypeVar("M", bound=Message)

DUPLICATES_S = 120.0
"""For how long a message with a known id is dropped, as the real streams do it: longer than own writes are remembered."""
ACK_WAIT_S = 4.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


@dataclass(eq=False)
class _Member:
    """One process that consumes a durable."""

    node: Node
    deliver: Deliver
    pause_s: float = 0.0


@dataclass(eq=False)
class _Letter:
    """A stored message on its way through one durable."""

    number: int
    envelope: Envelope
    message: Message
    settled: bool = False
    turn: int = 0
    """Counts deliveries: an answer to an earlier one does not stop a later one."""


@dataclass(eq=False)
class _Durable:
    consumption: Consumption
    members: list[_Member] = field(default_factory=list)
    waiting: list[_Letter] = field(default_factory=list)
    """Letters for which nobody was there."""
    open: int = 0


class Broker(Server):
    """The NATS server: streams that drop known ids for a while, durables that deliver until they are told, and signals."""

    def __init__(self, loop: SimulatedLoop, dice: Dice, history: History) -> None:
        super().__init__("broker", loop, dice, history)
        self.dead: list[tuple[str, Message, str]] = []
        self.failed: list[str] = []
        """Failures of handlers that no missing dependency explains."""
        self.contracts: dict[str, Event] = {}
        self.watchers: list[Callable[[int, Envelope], None]] = []
        """Told of everything that is stored, with its place."""
        self._seen: dict[tuple[str, bytes], tuple[float, int]] = {}
        """When an id was stored first, and its number."""
        self._durables: dict[str, _Durable] = {}
        self._kept: dict[str, list[_Letter]] = defaultdict(list)
        self._listeners: dict[str, list[tuple[Node, Callable[[Any], Awaitable[None]]]]] = defaultdict(list)
        self._heard_at: dict[tuple[Node, Node], float] = {}
        self._numbers = 0

    @property
    def open(self) -> int:
        """Messages that some durable has not settled."""
        return sum(durable.open for durable in self._durables.values())

    def declare(self, messages: Sequence[type[Message]]) -> None:
        """Know these messages."""
        self.contracts |= {base_subject(event(message)): event(message) for message in messages}

    def store(self, envelopes: Sequence[Envelope], sender: Node) -> list[int]:
        """Keep messages and hand them to the durables of their subject; answers their places."""
        now = self.loop.now
        places = []
        for envelope in envelopes:
            base = envelope.subject.rpartition(".")[0]
            if base not in self.contracts:
                raise KeyError(
                    f"{base} is published and was never declared: add it to `bus.declare` in simulation/mesh.py"
                )
            contract = self.contracts[base]
            identity = (stream_name(contract), envelope.event_id)
            first_at, place = self._seen.get(identity, (-DUPLICATES_S, 0))
            if now - first_at < DUPLICATES_S:
                places.append(place)
                continue
            place = self.next_place()
            self._seen[identity] = now, place
            places.append(place)
            message = contract.message.FromString(envelope.payload)
            self.history.note(self.name, "stores", message, f"from {sender.name}")
            letter = _Letter(place, envelope, message)
            self._kept[base].append(letter)
            for watch in self.watchers:
                watch(place, envelope)
            for durable in self._durables.values():
                if base_subject(durable.consumption.event) == base:
                    self._take(durable, letter)
            self.tell(f"{base}.*", message, sender)
        return places

    def next_place(self) -> int:
        """The place of the next message."""
        self._numbers += 1
        return self._numbers

    def tell(self, subject: str, message: Message, sender: Node) -> None:
        """Tell who listens now, in the order of each sender; some hear it not."""
        for node, handler in self._listeners[subject]:
            if self.dice.roll() < self.dice.odds.lost:
                continue
            at = max(self.loop.now + self.dice.signal(), self._heard_at.get((sender, node), 0.0))
            self._heard_at[sender, node] = at
            self.loop.call_at(at, _hear, handler, message, context=node.context)

    def listen(self, subject: str, node: Node, handler: Callable[[Any], Awaitable[None]]) -> Callable[[], None]:
        """Add a listener, until the returned function is called or its process dies."""
        entry = (node, handler)
        self._listeners[subject].append(entry)

        def stop() -> None:
            if entry in self._listeners[subject]:
                self._listeners[subject].remove(entry)

        node.on_death.append(stop)
        return stop

    def join(self, consumption: Consumption, node: Node, deliver: Deliver) -> None:
        """A process consumes a durable from now on."""
        durable = self._durables.get(consumption.durable)
        if durable is None:
            durable = self._durables[consumption.durable] = _Durable(consumption)
            for letter in self._kept[base_subject(consumption.event)]:
                self._take(durable, letter)
        member = _Member(node, deliver)
        durable.members.append(member)
        node.on_death.append(lambda: durable.members.remove(member))
        waiting, durable.waiting = durable.waiting, []
        for letter in waiting:
            self._soon(durable, letter, self.dice.hop())

    def state(self, consumption: Consumption) -> ConsumerState:
        """How far behind a durable is."""
        durable = self._durables[consumption.durable]
        dead = sum(name == consumption.durable for name, _, _ in self.dead)
        return ConsumerState(consumption.durable, durable.open, 0, dead)

    def _take(self, durable: _Durable, stored: _Letter) -> None:
        durable.open += 1
        letter = _Letter(stored.number, stored.envelope, stored.message)
        self._soon(durable, letter, self.dice.hop())
        if self.dice.roll() < self.dice.odds.twice:
            self._soon(durable, letter, self.dice.hop() + self.dice.between(0, 0.1))

    def _soon(self, durable: _Durable, letter: _Letter, wait_s: float) -> None:
        self.loop.call_later(wait_s, self._deliver, durable, letter, context=NOBODY)

    def _deliver(self, durable: _Durable, letter: _Letter) -> None:
        if letter.settled:
            return
        if self.away:
            self._soon(durable, letter, self.back_in_s + self.dice.hop())
        elif not durable.members:
            durable.waiting.append(letter)
        else:
            member = durable.members[int(self.dice.roll() * len(durable.members))]
            letter.turn += 1
            member.node.spawn(self._handled(durable, member, letter, letter.turn))
            self.loop.call_later(ACK_WAIT_S, self._unanswered, durable, letter, letter.turn, context=NOBODY)

    def _unanswered(self, durable: _Durable, letter: _Letter, turn: int) -> None:
        if not letter.settled and letter.turn == turn:
            self.history.note(self.name, "delivers again", letter.message, durable.consumption.durable)
            self._deliver(durable, letter)

    async def _handled(self, durable: _Durable, member: _Member, letter: _Letter, turn: int) -> None:
        """Runs in the process that handles it."""

        async def answer(what: Answer, delay_s: float) -> None:
            if self.away:
                raise Unavailable("the broker takes no acknowledgement", retry_after_s=1)
            if self.dice.roll() >= self.dice.odds.lost:
                self.loop.call_later(
                    self.dice.hop(), self._answered, durable, letter, turn, what, delay_s, context=NOBODY
                )

        name = durable.consumption.durable
        self.history.note(member.node.name, f"handles {name}", letter.message)
        envelope = letter.envelope
        delivery = Delivery(
            envelope.payload, headers_of(envelope, "simulated"), envelope.subject, str(letter.number), answer
        )
        pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * member.pause_s))
        outcome = await member.deliver(delivery, pause_s)
        member.pause_s = pause_s if outcome is Outcome.DOWN else 0.0
        if outcome is Outcome.FAILED:
            self.failed.append(f"{name} failed at {member.node.name}")
        if outcome is not Outcome.DONE:
            self.history.note(member.node.name, f"{outcome.value}: {name}", letter.message)

    def _answered(self, durable: _Durable, letter: _Letter, turn: int, what: Answer, delay_s: float) -> None:
        if letter.settled:
            return
        if what is Answer.RETRY:
            if letter.turn == turn:
                letter.turn += 1
                self._soon(durable, letter, delay_s)
            return
        letter.settled = True
        durable.open -= 1


class BrokerBus:
    """The bus of one process."""

    def __init__(self, broker: Broker, node: Node, producer: str) -> None:
        self.producer = producer
        self._broker = broker
        self._node = node

    async def declare(self, messages: Sequence[type[Message]]) -> None:
        """See Bus."""
        self._broker.declare(messages)

    async def publish(self, *messages: Message) -> list[int]:
        """See Bus."""
        return await self.send([envelope_of(message) for message in messages])

    async def send(self, envelopes: Sequence[Envelope]) -> list[int]:
        """See Bus: a part may be stored although it raises."""
        if not envelopes:
            return []
        await self._broker.way()
        dice = self._broker.dice
        if dice.roll() < dice.odds.unsure:
            self._broker.store(envelopes[: int(dice.roll() * (len(envelopes) + 1))], self._node)
            raise Unavailable("the broker did not confirm", retry_after_s=1)
        places = self._broker.store(envelopes, self._node)
        if dice.roll() < 0.5:
            await pause(dice.hop())
        return places

    async def signal(self, message: Message) -> None:
        """See Bus."""
        if self._broker.away:
            raise Unavailable("the broker is away", retry_after_s=1)
        self._broker.tell(signal_subject(message), message, self._node)

    async def listen(self, message: type[M], handler: Callable[[M], Awaitable[None]], receiver: bytes = b"") -> Stop:
        """See Bus."""
        stop = self._broker.listen(listening_subject(event(message), receiver), self._node, handler)

        async def stopped() -> None:
            stop()

        return stopped

    def on_reconnected(self, tell: Callable[[], None]) -> None:
        """Never: who listens here notices a gap by the numbers of signals."""

    def consume(self, consumption: Consumption, deliver: Deliver) -> Subscription:
        """See Bus."""

        async def run() -> None:
            self._broker.join(consumption, self._node, deliver)
            await for_ever()

        return Subscription(run)

    async def bury(self, delivery: Delivery, durable: str, why: str) -> None:
        """See Bus."""
        await self._broker.way()
        message = next(c.message for b, c in self._broker_contracts() if delivery.subject.startswith(f"{b}."))
        self._broker.dead.append((durable, message.FromString(delivery.payload), why))

    async def backlog(self, consumption: Consumption) -> ConsumerState:
        """See Bus."""
        await self._broker.way()
        return self._broker.state(consumption)

    async def check(self) -> None:
        """See Bus."""
        await self._broker.way()

    async def close(self) -> None:
        """See Bus."""

    def _broker_contracts(self) -> Sequence[tuple[str, Event]]:
        return list(self._broker.contracts.items())


def _hear(handler: Callable[[Any], Awaitable[None]], message: Message) -> None:
    at_once(handler(message))
