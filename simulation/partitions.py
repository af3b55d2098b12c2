"""Ordered work over the simulated broker: who owns a partition, and who still believes it. How a slice is handled is in ordered/."""

import asyncio
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ordered.port import Hand, Ordered, Ownership, Piece
from runtime.bus.envelope import PLACE, Envelope, headers_of, stream_name
from runtime.bus.port import Answer, ConsumerState, Delivery, Subscription
from runtime.contract import event
from simulation.broker import Broker
from simulation.loop import NOBODY, pause
from simulation.node import Node
from simulation.servers import for_ever

Headers = Mapping[str, str]

_BELIEVES_S = 4.0
_REPLAYED_WITHIN_S = 10.0
_TAKEN_WITHIN_S = 3.0
_AGAIN_S = 0.3
# How often an owner begins at the beginning, not at its position, or takes less than is there.
_FROM_THE_BEGINNING, _LESS = 0.1, 0.3


@dataclass(eq=False)
class _Log:
    """What stands in one partition of a stream."""

    places: list[int] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)


@dataclass(eq=False)
class _Member:
    """A process that does the work of a durable."""

    node: Node
    work: Ordered
    hand: Hand


@dataclass(eq=False)
class _Owner:
    """Who owns a partition, or believes it."""

    member: _Member
    partition: int
    epoch: int
    log: _Log
    filled: "asyncio.Future[None] | None" = None
    task: Any = None

    def wake(self) -> None:
        """There is more to do."""
        if self.filled is not None and not self.filled.done():
            self.filled.set_result(None)


class PartitionedLogs:
    """The streams of a broker by partition, and the owners of every durable."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._logs: dict[tuple[str, int], _Log] = defaultdict(_Log)
        self._durables: dict[str, _Durable] = {}
        broker.watchers.append(self._stored)

    def source(self, node: Node) -> "PartitionSource":
        """The source of a process."""
        return PartitionSource(self, node)

    def durable(self, work: Ordered) -> "_Durable":
        """The owners of a durable."""
        known = self._durables.get(work.durable)
        if known is None:
            stream = stream_name(event(work.messages[0]))
            known = self._durables[work.durable] = _Durable(self.broker, work.durable, stream)
            known.logs |= {partition: log for (name, partition), log in self._logs.items() if name == stream}
        return known

    def ends(self) -> dict[str, dict[int, int]]:
        """The place of the last message of each partition, by durable."""
        return {
            name: {partition: log.places[-1] for partition, log in durable.logs.items()}
            for name, durable in self._durables.items()
        }

    def _stored(self, place: int, envelope: Envelope) -> None:
        headers, dice = headers_of(envelope, "simulated"), self.broker.dice
        self._append(envelope, headers, place)
        if dice.roll() < dice.odds.twice / 2:
            # As a dead letter that is replayed: it has a place of its own and keeps the first as what orders it.
            again = {**headers, PLACE: str(place)}
            self.broker.loop.call_later(
                dice.between(0, _REPLAYED_WITHIN_S), self._replayed, envelope, again, context=NOBODY
            )

    def _replayed(self, envelope: Envelope, headers: Headers) -> None:
        self.broker.history.note(self.broker.name, "replays", envelope.subject, envelope.event_id)
        self._append(envelope, headers, self.broker.next_place())

    def _append(self, envelope: Envelope, headers: Headers, place: int) -> None:
        contract = self.broker.contracts[envelope.subject.rpartition(".")[0]]
        stream, partition = stream_name(contract), int(envelope.subject[-3:])
        log = self._logs[stream, partition]
        log.places.append(place)
        log.deliveries.append(Delivery(envelope.payload, headers, envelope.subject, str(place), _unheard, place))
        for durable in self._durables.values():
            if durable.stream == stream:
                durable.logs[partition] = log
                durable.more(partition)


class PartitionSource:
    """Source of ordered work for one process."""

    def __init__(self, logs: PartitionedLogs, node: Node) -> None:
        self._logs = logs
        self._node = node

    def partitions(self, work: Ordered, hand: Hand) -> Ownership:
        """See ordered.port.Source."""

        async def run() -> None:
            self._logs.durable(work).join(_Member(self._node, work, hand))
            await for_ever()

        return Ownership(Subscription(run), lambda: self._backlog(work))

    async def _backlog(self, work: Ordered) -> ConsumerState:
        positions, logs = await work.positions(), self._logs.durable(work).logs
        behind = sum(log.places[-1] > positions.get(number, 0) for number, log in logs.items())
        return ConsumerState(work.durable, behind, 0, 0)


class _Durable:
    """Shares the partitions of a stream among processes. They move, and who loses one learns it late."""

    def __init__(self, broker: Broker, name: str, stream: str) -> None:
        self.stream = stream
        self.logs: dict[int, _Log] = {}
        self._broker, self._name = broker, name
        self._members: list[_Member] = []
        self._epochs: Counter[int] = Counter()
        self._owners: dict[int, _Owner] = {}
        self._believing: dict[int, list[_Owner]] = defaultdict(list)
        """All who are at work, the owner among them."""

    def join(self, member: _Member) -> None:
        """A process takes part: what nobody has is its own, and some of the rest."""
        self._members.append(member)
        member.node.on_death.append(lambda: self._gone(member))
        for partition in sorted(self.logs):
            if partition not in self._owners or self._broker.dice.roll() < 0.5:
                self._give(partition, member)

    def more(self, partition: int) -> None:
        """A message was stored."""
        dice = self._broker.dice
        if partition not in self._owners or dice.roll() < dice.odds.moves:
            self._give_to_somebody(partition)
        for owner in self._believing[partition]:
            owner.wake()

    def _give_to_somebody(self, partition: int) -> None:
        if self._members:
            self._give(partition, self._members[int(self._broker.dice.roll() * len(self._members))])

    def _give(self, partition: int, member: _Member) -> None:
        former = self._owners.get(partition)
        for other in [owner for owner in self._believing[partition] if owner.member is member]:
            # Within a process nobody believes it twice.
            self._learns(other)
        self._epochs[partition] += 1
        owner = _Owner(member, partition, self._epochs[partition], self.logs[partition])
        self._owners[partition] = owner
        self._believing[partition].append(owner)
        owner.task = member.node.spawn(self._through(owner))
        if former is not None:
            wait_s = self._broker.dice.between(0, _BELIEVES_S)
            self._broker.loop.call_later(wait_s, self._learns, former, context=NOBODY)

    def _learns(self, former: _Owner) -> None:
        """Who has lost a partition stops in the middle."""
        if former in self._believing[former.partition]:
            self._believing[former.partition].remove(former)
            former.task.cancel()

    def _gone(self, member: _Member) -> None:
        self._members.remove(member)
        dice, loop = self._broker.dice, self._broker.loop
        for partition, believing in self._believing.items():
            self._believing[partition] = [owner for owner in believing if owner.member is not member]
        for partition in [number for number, owner in self._owners.items() if owner.member is member]:
            del self._owners[partition]
            loop.call_later(dice.between(0, _TAKEN_WITHIN_S), self._taken, partition, context=NOBODY)

    def _taken(self, partition: int) -> None:
        if partition not in self._owners:
            self._give_to_somebody(partition)

    async def _through(self, owner: _Owner) -> None:
        """Runs in the process that owns, or believes so."""
        dice, log = self._broker.dice, owner.log
        note, who = self._broker.history.note, owner.member.node.name
        at = await self._position(owner)
        note(who, f"takes {self._name}", owner.partition)
        while True:
            await pause(dice.hop() + self._broker.back_in_s)
            first = bisect_right(log.places, at)
            found = log.deliveries[first:]
            if found:
                if dice.roll() < _LESS:
                    found = found[: 1 + int(dice.roll() * len(found))]
                await owner.member.hand(Piece(owner.partition, owner.epoch, found, found[-1].place))
                at = found[-1].place
            else:
                owner.filled = self._broker.loop.create_future()
                await owner.filled

    async def _position(self, owner: _Owner) -> int:
        while True:
            try:
                stored = await owner.member.work.load(owner.partition)
            except Exception:  # the database is away: trying again is all there is
                await pause(_AGAIN_S)
            else:
                return 0 if self._broker.dice.roll() < self._broker.dice.odds.moves * _FROM_THE_BEGINNING else stored


async def _unheard(_what: Answer, _delay_s: float) -> None:
    """Nobody is told of single messages: what counts is the position that the handler stores."""
