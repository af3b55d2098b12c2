"""Reads the owned partitions of one durable and hands them over, each in its order. What is done with a piece is consumer.py.

One ephemeral pull consumer reads all partitions that were taken at the same moment: 256 of them, or one with 256 filters made
anew at every change, would read again what others have read; so nobody does, and a partition that fell behind gets a reader
of its own. Making one with 256 filters takes 5 ms, the 256 questions for where to begin 30 ms.
"""

import asyncio
import contextlib
import math
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from nats import errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import FetchTimeoutError, KeyWrongLastSequenceError, NotFoundError

from ordered.leases import TICK, Leases
from ordered.port import Hand, Ordered, Piece
from runtime.bus.port import Answer, Delivery
from runtime.bus.pull import sequences_of
from runtime.bus.streams import created_us
from runtime.context import told_to_stop
from runtime.telemetry import logger

_FETCH = 500
_FETCH_S = 5.0
_HEARTBEAT_S = 1.0
_GATHER_S = 0.02
_QUEUE = 2000
_PIECE = 100
"""So many are handed over in one turn of the loop, about a millisecond: the process answers requests, too."""
_QUIET_S = 3600.0
_AT_ONCE = 32
_LEAVE_S = 5.0
_BROKER_ERRORS = (errors.Error, TimeoutError, OSError)

log = logger(__name__)


@dataclass(eq=False)
class _Partition:
    """One that is owned."""

    number: int
    epoch: int
    at: int = 0
    """All up to here is handled, or was never there; 0 until it was loaded."""
    queue: deque[Delivery] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    reader: object | None = None
    """None: to be opened."""
    heard_at: float = field(default_factory=time.monotonic)
    empty_to: int = 0
    """When it was opened it held nothing up to this place, which is still to be stored; 0 when there is nothing to store."""
    lost: bool = False
    in_hand: bool = False
    ending: bool = False
    """What is in hand is finished, and nothing else begun."""


class Partitions:
    """The part of one durable's partitions that this process owns."""

    def __init__(
        self, js: JetStreamContext, leases: Leases, stream: str, subjects: str, work: Ordered, hand: Hand, ttl_s: float
    ) -> None:
        """`subjects`: those of the whole family in `stream`, with {} for the partition."""
        self._js, self._leases, self._stream, self._subjects = js, leases, stream, subjects
        self._work, self._hand, self._tick_s = work, hand, TICK * ttl_s
        self._owned: dict[int, _Partition] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._to_open = asyncio.Event()
        self._looked_at = math.inf
        """When the leases were looked at last; in the future before there is anything to look at."""

    async def run(self) -> None:
        """Own, read and hand over until cancelled; then finish what is in hand and leave the rest to others."""
        opening = asyncio.create_task(self._open_all())
        self._looked_at = time.monotonic()
        try:
            while not told_to_stop():
                self._leases.expire()
                if self._leases.held.keys() != self._owned.keys():
                    # Whether or not the broker answers.
                    self._follow()
                await self._look()
                await asyncio.sleep(self._tick_s)
        finally:
            opening.cancel()
            for partition in self._owned.values():
                self._end(partition)
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=_LEAVE_S)
            for task in (*self._tasks.values(), *self._readers):
                task.cancel()
            await asyncio.gather(opening, *self._tasks.values(), *self._readers, return_exceptions=True)
            try:
                async with asyncio.timeout(_LEAVE_S):
                    await self._leases.leave()
            except _BROKER_ERRORS as error:
                log.warning("leases_left_to_expire", error=repr(error))

    async def _look(self) -> None:
        finished = [p for p in self._leases.surplus if p not in self._tasks or self._tasks[p].done()]
        try:
            # A broker that hangs must not keep us past the end of what we hold.
            async with asyncio.timeout(min(3 * self._tick_s, max(0, self._leases.left_s()))):
                await self._leases.look(finished)
            self._looked_at = time.monotonic()
        except KeyWrongLastSequenceError:
            # Another process was quicker.
            return await asyncio.sleep(random.uniform(0, self._tick_s / 2))
        except _BROKER_ERRORS as error:
            log.warning("leases_unknown", error=repr(error))
        self._leases.expire()
        self._follow()

    def _follow(self) -> None:
        """Begin what was gained, drop what was lost, end what is to be given up."""
        for number, partition in list(self._owned.items()):
            kept = number not in self._leases.surplus and self._tasks[number].done()
            if kept or self._leases.held.get(number) != partition.epoch:
                # Ended, to be given up and then not, or by something unforeseen: it begins anew. Or lost, and perhaps somebody
                # else's already: it stops in the middle, which positions bear.
                del self._owned[number]
                self._tasks.pop(number).cancel()
        for number, epoch in self._leases.held.items():
            if number not in self._owned:
                partition = self._owned[number] = _Partition(number, epoch)
                self._tasks[number] = asyncio.create_task(self._through(partition))
                self._to_open.set()
        for number in self._leases.surplus:
            self._end(self._owned[number])

    def silent_s(self) -> float:
        """For how long nobody has said who owns what."""
        return max(0.0, time.monotonic() - self._looked_at)

    def forgotten(self, number: int) -> bool:
        """Whether a partition is owned here and nothing of it is in hand."""
        partition = self._owned.get(number)
        return partition is not None and not partition.in_hand and not partition.queue

    def read_anew(self) -> None:
        """Open new readers: the connection is new, and perhaps the broker, which keeps none; or nothing came from the old ones."""
        for partition in self._owned.values():
            partition.reader = None
        self._to_open.set()

    @staticmethod
    def _end(partition: _Partition) -> None:
        partition.ending = True
        partition.queue.clear()
        partition.filled.set()

    async def _through(self, partition: _Partition) -> None:
        while not partition.ending:
            partition.filled.clear()
            found = [d for d in _taken(partition.queue) if d.place > partition.at]
            until, partition.empty_to = found[-1].place if found else partition.empty_to, 0
            if until:
                # Before: a loss that shows meanwhile is told with the next piece, and the place it is at is kept.
                lost, partition.lost = partition.lost, False
                partition.in_hand = True
                await self._hand(Piece(partition.number, partition.epoch, found, until, lost))
                partition.in_hand = False
                partition.at = max(partition.at, until)
            if partition.reader is None:
                self._to_open.set()
            if partition.queue:
                await asyncio.sleep(0)
            elif not partition.ending:
                await partition.filled.wait()

    async def _open_all(self) -> None:
        """Give a reader to every partition that has none, and to those that were quiet for long: so their positions move too."""
        said = ""
        while not told_to_stop():
            self._to_open.clear()
            quiet = time.monotonic() - _QUIET_S
            some = [p for p in self._owned.values() if (p.reader is None or p.heard_at < quiet) and not p.ending]
            some = [p for p in some if not p.queue]
            try:
                if some:
                    await self._open(some)
                    said = ""
            except Exception as error:
                # Of the broker, or of `load`: whatever it is, trying again is all there is, twice a second; said is it once.
                if said != repr(error):
                    log.warning("partitions_not_read", partitions=len(some), error=repr(error))
                said = repr(error)
            try:
                async with asyncio.timeout(self._tick_s):
                    await self._to_open.wait()
            except TimeoutError:
                continue

    async def _open(self, some: Sequence[_Partition]) -> None:
        places = asyncio.Semaphore(_AT_ONCE)

        async def stored(partition: _Partition) -> int:
            async with places:
                return partition.at or await self._work.load(partition.number)

        positions = await asyncio.gather(*map(stored, some))
        # After the positions: an owner who is not gone yet may store one behind an end that was seen before, and that would
        # look as if the stream had been made again.
        info = await self._js.stream_info(self._stream)
        created = created_us(info)

        async def start(partition: _Partition, position: int) -> int:
            async with places:
                return await self._start(partition, position, created, info.state.first_seq, info.state.last_seq)

        first = min(await asyncio.gather(*map(start, some, positions)))
        task = asyncio.create_task(self._read(some, first, created))
        for partition in some:
            partition.reader, partition.heard_at = task, time.monotonic()
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _start(self, partition: _Partition, stored: int, created: int, first: int, last: int) -> int:
        """The sequence from which a partition is to be read; if it holds nothing now, its position moves to the stream's end."""
        # What was handled meanwhile counts.
        stored = partition.at or stored
        after = stored - created
        if not first - 1 <= after <= last:
            if stored:
                partition.lost = True
                where = {"stream": self._stream, "partition": partition.number}
                log.error("messages_lost_unread", **where, after=after, first=first)
            after = first - 1
        partition.at = created + after
        try:
            subject = self._subject(partition.number)
            return (await self._js.get_msg(self._stream, seq=after + 1, subject=subject, next=True)).seq or first
        except NotFoundError:
            if created + last != stored or partition.lost:
                partition.empty_to = created + last
                partition.filled.set()
            return last + 1

    async def _read(self, some: Sequence[_Partition], first: int, created: int) -> None:
        """Fill the queues of partitions for as long as they take from this reader; when it breaks, they are opened again."""
        here, mine, count = {p.number: p for p in some}, asyncio.current_task(), 0
        filters = [self._subject(number) for number in here]
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(1, first),
            filter_subjects=filters,
            inactive_threshold=6 * _FETCH_S,
            mem_storage=True,
            num_replicas=1,
        )
        try:
            name = (await self._js.add_consumer(self._stream, config)).name
            subscription = await self._js.pull_subscribe_bind(name, stream=self._stream)
            try:
                while any(self._owned.get(p.number) is p and p.reader is mine and not p.ending for p in some):
                    # A fetch of many gives what came once its time is over; so one waits for the first message, and another
                    # shortly for those behind it, without a heartbeat: in so short a time the server refuses one.
                    try:
                        messages = await subscription.fetch(1, timeout=_FETCH_S, heartbeat=_HEARTBEAT_S)
                    except FetchTimeoutError:
                        continue
                    with contextlib.suppress(TimeoutError):
                        messages += await subscription.fetch(_FETCH, timeout=_GATHER_S)
                    for msg in messages:
                        sequence, number = sequences_of(msg.reply)
                        if number != count + 1:
                            raise errors.Error(
                                f"message {number} came after {count}: something was lost on its way here"
                            )
                        count = number
                        partition = here[int(msg.subject[-3:])]
                        if partition.reader is mine:
                            self._add(partition, msg, created + sequence)
            finally:
                await subscription.unsubscribe()
                await self._js.delete_consumer(self._stream, name)
        except _BROKER_ERRORS as error:
            log.warning("partition_reader_broken", stream=self._stream, error=f"{error!r}: {error}")
        finally:
            for partition in some:
                if partition.reader is mine:
                    partition.reader = None
            self._to_open.set()

    def _add(self, partition: _Partition, msg: Msg, place: int) -> None:
        partition.heard_at = time.monotonic()
        if len(partition.queue) >= _QUEUE:
            # It stands still, others do not: it is read again from its position when it has worked off what it has.
            partition.reader = None
        elif not partition.ending:
            subject = msg.subject.partition(".")[2]
            partition.queue.append(Delivery(msg.data, msg.headers or {}, subject, str(place), _unheard, place))
            partition.filled.set()

    def _subject(self, number: int) -> str:
        return self._subjects.format(f"{number:03d}")


def _taken(queue: deque[Delivery]) -> list[Delivery]:
    return [queue.popleft() for _ in range(min(_PIECE, len(queue)))]


async def _unheard(_what: Answer, _delay_s: float) -> None:
    """Nobody is told of single messages: what counts is the position that the handler stores."""
