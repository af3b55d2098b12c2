"""What ordered work is promised, sentence by sentence, in memory and over NATS."""

import asyncio
import dataclasses
import itertools
import os
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted
from google.protobuf.message import Message

from ordered import OrderedConsumer, Slice
from ordered.nats import NatsSource
from ordered.port import Source
from runtime.bus import Bus, Envelope, NatsBus, Poison
from runtime.bus.envelope import PARTITIONS
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from simulation.bus import MemoryBus
from simulation.ordered import MemorySource
from tests.waiting import until

NUMBERS = itertools.count()


class Journal:
    """Ordered work that notes what it was given, with positions that outlive the process."""

    durable = "journal"
    messages: Sequence[type[Message]] = (TweetCreated,)

    def __init__(self) -> None:
        self.stored: dict[int, int] = {}
        self.seen: dict[int, list[bytes]] = defaultdict(list)
        self.epochs: dict[int, list[int]] = defaultdict(list)
        self.places: list[int] = []
        self.place_of: dict[bytes, int] = {}
        self.fails: dict[bytes, list[Exception]] = {}
        """What to raise, by event id."""

    async def load(self, partition: int) -> int:
        return self.stored.get(partition, 0)

    async def positions(self) -> Mapping[int, int]:
        return self.stored

    async def handle(self, piece: Slice) -> None:
        for item in piece.items:
            if errors := self.fails.get(item.event.event_id):
                raise errors.pop(0)
        self.seen[piece.partition] += [item.event.event_id for item in piece.items]
        self.places += [item.at for item in piece.items]
        self.place_of |= {item.event.event_id: item.place for item in piece.items}
        self.epochs[piece.partition].append(piece.epoch)
        self.stored[piece.partition] = piece.until

    def ids(self) -> set[bytes]:
        """Everything that was handled."""
        return {event_id for ids in self.seen.values() for event_id in ids}


class World:
    """A bus of one kind and the ordered work that runs over it."""

    def __init__(self, bus: Bus, source: Source) -> None:
        self.bus = bus
        self.source = source
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, work: Journal) -> asyncio.Task[None]:
        """Run the work until the test ends."""
        task = asyncio.create_task(OrderedConsumer(self.bus, self.source, work).run())
        self.tasks.append(task)
        return task

    async def stop(self, task: asyncio.Task[None]) -> None:
        """End one as a process does that is told to stop."""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """Stop what runs, and forget what the bus kept."""
        for task in self.tasks:
            await self.stop(task)
        if isinstance(self.bus, NatsBus):
            for stream in await self.bus._js.streams_info():
                if self.bus.streams.namespace in (stream.config.name or ""):
                    await self.bus._js.delete_stream(stream.config.name or "")
        await self.bus.close()


@pytest.fixture(params=["memory", "nats"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "nats":
        config: MeshConfig = request.getfixturevalue("mesh_config")
        config = dataclasses.replace(config, namespace=f"{config.namespace}o{next(NUMBERS)}")
        bus = await NatsBus.connect(config)
        world = World(bus, NatsSource(bus, ttl_s=3))
    else:
        memory = MemoryBus()
        world = World(memory, MemorySource(memory))
    await world.bus.declare([TweetCreated, TweetDeleted])
    yield world
    await world.close()


def created(author: bytes) -> TweetCreated:
    return TweetCreated(event_id=os.urandom(16), tweet_id=os.urandom(16), author_id=author)


def partition_of(author: bytes) -> int:
    return zlib.crc32(author) % PARTITIONS


async def test_facts_of_a_partition_come_in_the_order_in_which_they_were_published(world: World) -> None:
    authors, journal = [os.urandom(16) for _ in range(5)], Journal()
    world.start(journal)
    expected: dict[int, list[bytes]] = defaultdict(list)
    for _ in range(40):
        round_of = [created(author) for author in authors]
        await world.bus.publish(*round_of)
        for event in round_of:
            expected[partition_of(event.author_id)].append(event.event_id)
    await until(lambda: len(journal.ids()) == 200)
    assert {p: ids for p, ids in journal.seen.items() if ids} == expected


async def test_the_next_owner_goes_on_at_the_stored_position_with_a_greater_epoch(world: World) -> None:
    author, journal = os.urandom(16), Journal()
    before, after = [created(author) for _ in range(10)], [created(author) for _ in range(10)]
    await world.bus.publish(*before)
    first = world.start(journal)
    await until(lambda: len(journal.ids()) == 10)
    await world.stop(first)
    await world.bus.publish(*after)
    world.start(journal)
    await until(lambda: len(journal.ids()) == 20)
    assert journal.seen[partition_of(author)] == [e.event_id for e in before + after]
    epochs = journal.epochs[partition_of(author)]
    assert epochs == sorted(epochs)
    assert epochs[0] < epochs[-1]


async def test_places_grow_and_the_position_is_that_of_the_last_fact(world: World) -> None:
    author, journal = os.urandom(16), Journal()
    world.start(journal)
    await world.bus.publish(*(created(author) for _ in range(20)))
    await until(lambda: len(journal.ids()) == 20)
    assert journal.places == sorted(set(journal.places))
    assert journal.stored[partition_of(author)] == journal.places[-1]


async def test_publishing_tells_the_places_that_the_facts_come_with_also_of_those_that_are_there_already(
    world: World,
) -> None:
    """P54: whoever writes beside the owner of a partition orders what it writes by the same places."""
    authors, journal = [os.urandom(16) for _ in range(3)], Journal()
    world.start(journal)
    events = [created(author) for author in authors * 3]
    places = await world.bus.publish(*events)
    again = await world.bus.publish(*events[3:5], last := created(authors[0]))
    await until(lambda: len(journal.ids()) == 10)
    assert journal.place_of == {e.event_id: p for e, p in zip([*events, last], [*places, again[-1]], strict=True)}
    assert again[:2] == places[3:5]
    assert places == sorted(set(places))


async def test_poison_is_set_aside_and_the_partition_goes_on(world: World) -> None:
    """P80."""
    author, journal = os.urandom(16), Journal()
    events = [created(author) for _ in range(5)]
    journal.fails[events[2].event_id] = [Poison("never")] * 3
    await world.bus.publish(*events)
    world.start(journal)
    await until(lambda: len(journal.ids()) == 4)
    assert journal.seen[partition_of(author)] == [e.event_id for e in events[:2] + events[3:]]
    assert await dead(world) == [events[2].event_id]


async def test_poison_at_the_end_moves_the_position_too(world: World) -> None:
    author, journal = os.urandom(16), Journal()
    first, last = created(author), created(author)
    journal.fails[last.event_id] = [Poison("never")] * 3
    await world.bus.publish(first)
    world.start(journal)
    await until(lambda: first.event_id in journal.ids())
    position = journal.stored[partition_of(author)]
    await world.bus.publish(last)
    await until(lambda: journal.stored[partition_of(author)] > position)
    assert await dead(world) == [last.event_id]


async def test_what_cannot_be_parsed_is_set_aside(world: World) -> None:
    author, journal = os.urandom(16), Journal()
    await world.bus.send([Envelope(f"tweets.v1.created.{partition_of(author):03d}", os.urandom(16), b"\xff\xff")])
    event = created(author)
    await world.bus.publish(event)
    world.start(journal)
    await until(lambda: event.event_id in journal.ids())
    assert len(await dead_payloads(world)) == 1


async def test_a_missing_dependency_stops_its_partition_alone_and_loses_nothing(world: World) -> None:
    stuck, free = os.urandom(16), os.urandom(16)
    while partition_of(free) == partition_of(stuck):
        free = os.urandom(16)
    journal, waiting, others = Journal(), created(stuck), [created(free) for _ in range(5)]
    errors: list[Exception] = [Unavailable("away")] * 1000
    journal.fails[waiting.event_id] = errors
    world.start(journal)
    behind = created(stuck)
    await world.bus.publish(waiting, behind, *others)
    await until(lambda: {e.event_id for e in others} <= journal.ids())
    await until(lambda: len(errors) < 999)
    assert behind.event_id not in journal.ids()
    errors.clear()
    await until(lambda: behind.event_id in journal.ids())
    assert journal.seen[partition_of(stuck)] == [waiting.event_id, behind.event_id]
    assert await dead(world) == []


async def test_a_failure_of_another_kind_is_tried_again_in_order(world: World) -> None:
    author, journal = os.urandom(16), Journal()
    events = [created(author) for _ in range(3)]
    journal.fails[events[1].event_id] = [RuntimeError("once"), RuntimeError("twice")]
    await world.bus.publish(*events)
    world.start(journal)
    await until(lambda: len(journal.ids()) == 3)
    assert journal.seen[partition_of(author)] == [e.event_id for e in events]
    assert await dead(world) == []


async def test_other_facts_of_the_family_are_passed_over(world: World) -> None:
    author, journal = os.urandom(16), Journal()
    deleted, event = TweetDeleted(event_id=os.urandom(16), author_id=author), created(author)
    await world.bus.publish(deleted, event)
    world.start(journal)
    await until(lambda: len(journal.ids()) == 1)
    assert journal.ids() == {event.event_id}


async def test_a_cancellation_from_within_is_a_failure_and_no_order_to_stop(world: World) -> None:
    author, journal, event = os.urandom(16), Journal(), created(os.urandom(16))
    event = created(author)
    original = journal.handle
    cancelled = [True]

    async def handle(piece: Slice) -> None:
        if piece.items and cancelled:
            cancelled.clear()
            raise asyncio.CancelledError
        await original(piece)

    journal.handle = handle  # type: ignore[method-assign]
    world.start(journal)
    await world.bus.publish(event)
    await until(lambda: event.event_id in journal.ids())


async def dead(world: World) -> list[bytes]:
    return [TweetCreated.FromString(payload).event_id for payload in await dead_payloads(world)]


async def dead_payloads(world: World) -> list[bytes]:
    if isinstance(world.bus, MemoryBus):
        return [payload for _, payload, _ in world.bus.dead]
    assert isinstance(world.bus, NatsBus)
    stream = world.bus.streams.dead
    state = (await world.bus._js.stream_info(stream)).state
    found = [await world.bus._js.get_msg(stream, seq=n) for n in range(1, state.last_seq + 1)]
    return [message.data or b"" for message in found]


async def test_any_process_tells_how_far_behind_all_partitions_are(world: World) -> None:
    authors, journal = [os.urandom(16) for _ in range(20)], Journal()
    asked = OrderedConsumer(world.bus, world.source, journal)
    assert (await pending(asked)) == 0
    await world.bus.publish(*(created(author) for author in authors * 3))
    assert (await pending(asked)) == 60
    world.start(journal)
    await until(lambda: nothing_left(asked))
    assert len(journal.ids()) == 60
    await world.bus.publish(TweetDeleted(event_id=os.urandom(16), author_id=authors[0]), created(authors[1]))
    await until(lambda: nothing_left(asked))
    assert len(journal.ids()) == 61


async def test_a_partition_that_stands_still_shows_and_so_does_what_was_set_aside(world: World) -> None:
    """P59, P80."""
    author, journal = os.urandom(16), Journal()
    poison, waiting = created(author), created(author)
    journal.fails = {poison.event_id: [Poison("never")] * 3, waiting.event_id: [Unavailable("away")] * 1000}
    world.start(journal)
    asked = OrderedConsumer(world.bus, world.source, journal)
    others = [other for other in (n.to_bytes(16) for n in range(30)) if partition_of(other) != partition_of(author)]
    await world.bus.publish(poison, waiting, *map(created, others))
    await until(lambda: len(journal.ids()) == len(others))
    assert 1 <= await pending(asked) <= 2
    await until(lambda: letters_are(asked, 1))
    assert not await nothing_left(asked)
    journal.fails[waiting.event_id].clear()
    await until(lambda: nothing_left(asked))


async def pending(consumer: OrderedConsumer) -> int:
    (state,) = await consumer.backlog()
    return state.pending


async def nothing_left(consumer: OrderedConsumer) -> bool:
    return await pending(consumer) == 0


async def letters_are(consumer: OrderedConsumer, count: int) -> bool:
    return [state.dead for state in await consumer.backlog()] == [count]
