"""Readers are noted and announced once a day, whoever meets them; a page waits for it seldom, and never long."""

import asyncio
import uuid

import pytest
from aviary.timeline.v1.events_pb2 import ReaderSeen
from hypothesis import given
from hypothesis import strategies as st

from runtime.context import Caller, acting
from runtime.errors import Unavailable
from runtime.ids import uuid7_of
from simulation.outbox import MemoryOutbox
from svc_timeline import seen
from svc_timeline.days import DAY_MS, reader_day
from svc_timeline.seen import SeenReaders
from svc_timeline.states_memory import MemoryHomeStates
from tests.unit.svc_timeline.world import CallAt, Crash, MemoryWorld


class CountedStates(MemoryHomeStates):
    """States whose use is counted, and that may be away or not answer."""

    reads = writes = 0
    away = False
    silent: asyncio.Event | None = None

    async def last_read_day(self, user_id: bytes) -> int | None:
        self.reads += 1
        if self.silent is not None:
            await self.silent.wait()
        if self.away:
            raise Unavailable("away")
        return await super().last_read_day(user_id)

    async def set_read_day(self, user_id: bytes, day: int, announce: ReaderSeen) -> None:
        self.writes += 1
        await super().set_read_day(user_id, day, announce)


class Reading:
    """A world whose states are counted, and who was announced in it."""

    def __init__(self, world: MemoryWorld) -> None:
        self.world, self.clock = world, world.set_clock
        self.outbox = MemoryOutbox(world.bus, self.clock)
        self.states = CountedStates(self.outbox.write, self.clock)
        self.faults = CallAt()
        self.reader = world.person()
        self.seen = self.process()
        object.__setattr__(world.deps, "seen", self.seen)

    def process(self) -> SeenReaders:
        """What another process of svc_timeline knows: nothing."""
        return SeenReaders(self.states, self.outbox, self.clock, self.faults)

    async def read(self, reader: bytes | None = None) -> None:
        """As the reader's own client does."""
        with acting(Caller(user_id=reader or self.reader, session_id=b"s" * 16)):
            await self.world.page(reader or self.reader)

    def told(self) -> list[tuple[bytes, int]]:
        return [(event.user_id, event.day) for event in self.world.seen()]

    @property
    def today(self) -> int:
        return reader_day(self.reader, self.clock.ms)


@pytest.fixture
def reading(world: MemoryWorld) -> Reading:
    return Reading(world)


async def test_the_first_read_of_a_day_is_stored_and_announced_when_it_is_answered(reading: Reading) -> None:
    await reading.read()
    assert await reading.states.last_read_day(reading.reader) == reading.today
    assert reading.told() == [(reading.reader, reading.today)]


async def test_further_reads_of_the_day_ask_and_store_nothing_and_wait_for_nobody(reading: Reading) -> None:
    await reading.read()
    reading.states.reads, reading.states.silent = 0, asyncio.Event()
    for _ in range(50):
        await reading.read()
        assert reading.seen.begin(reading.reader) is None
    assert (reading.states.reads, reading.states.writes) == (0, 1)


async def test_many_reads_at_once_are_noted_once(reading: Reading) -> None:
    await asyncio.gather(*(reading.read() for _ in range(20)))
    assert (reading.states.reads, reading.states.writes) == (1, 1)


async def test_who_was_noted_by_another_process_is_not_announced_again(reading: Reading) -> None:
    await reading.read()
    other = reading.process()
    for _ in range(2):
        other.begin(reading.reader)
        await other.settle()
    assert (reading.states.reads, reading.states.writes) == (2, 1)
    assert len(reading.told()) == 1


async def test_a_reader_is_noted_on_every_day_again(reading: Reading) -> None:
    await reading.read()
    first = reading.today
    reading.clock.ms += DAY_MS
    await reading.read()
    assert reading.told() == [(reading.reader, first), (reading.reader, first + 1)]


async def test_who_looks_at_a_home_without_being_its_reader_is_no_reader(reading: Reading) -> None:
    """An audit reads every home, in the name of its reader; that makes nobody active."""
    await reading.world.page(reading.reader)
    for other in (
        Caller(user_id=reading.world.person(), session_id=b"s" * 16),
        Caller(user_id=reading.reader, service="audit"),
    ):
        with acting(other):
            await reading.world.page(reading.reader)
    assert (reading.states.reads, reading.told()) == (0, [])


async def test_an_open_stream_to_which_something_is_delivered_is_a_reader(reading: Reading) -> None:
    world, author = reading.world, reading.world.person()
    await world.follow(reading.reader, author)
    await world.follow(offline := world.person(), author)
    await world.presence.beat(b"e" * 16)
    await world.presence.arrive(reading.reader, b"e" * 16)
    await world.post(author)
    await world.settle()
    await reading.seen.settle()
    assert reading.told() == [(reading.reader, reading.today)]
    assert await reading.states.last_read_day(offline) is None


async def test_a_page_is_answered_while_states_are_away_and_the_next_read_notes(reading: Reading) -> None:
    reading.states.away = True
    await reading.read()
    await reading.seen.settle()
    assert reading.told() == []
    reading.states.away = False
    await reading.read()
    assert reading.told() == [(reading.reader, reading.today)]


async def test_a_page_is_answered_while_states_do_not_answer_and_the_noting_goes_on(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "SOON_S", 0)
    reading.states.silent = asyncio.Event()
    await reading.read()
    reading.states.silent.set()
    await reading.seen.settle()
    assert reading.told() == [(reading.reader, reading.today)]


async def test_a_reader_whose_process_died_before_it_announced_is_announced_by_the_relay(reading: Reading) -> None:
    """The announcement lies in the batch of the day; nobody has to read again."""
    reading.faults.crash("timeline.seen.after_stored")
    noting = reading.seen.begin(reading.reader)
    assert noting is not None
    with pytest.raises(Crash):
        await noting
    assert reading.told() == []
    await reading.outbox.relay_all()
    assert reading.told() == [(reading.reader, reading.today)]


async def test_too_many_at_once_are_left_to_their_next_read(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "UNDER_WAY", 2)
    reading.states.silent = asyncio.Event()
    people = [reading.world.person() for _ in range(3)]
    assert [reading.seen.begin(one) is None for one in people] == [False, False, True]
    reading.states.silent.set()
    await reading.seen.settle()
    reading.seen.begin(people[2])
    await reading.seen.settle()
    assert {one for one, _ in reading.told()} == set(people)


async def test_of_more_readers_than_are_remembered_the_earliest_noted_are_forgotten(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "REMEMBERED", 3)
    people = [reading.world.person() for _ in range(5)]
    for one in people:
        reading.seen.begin(one)
        await reading.seen.settle()
    assert [reading.seen.begin(one) is None for one in people] == [False, False, True, True, True]
    await reading.seen.settle()


@given(user=st.uuids(), ms=st.integers(10 * DAY_MS, 4 * 10**12))
def test_a_reader_is_noted_within_a_day_and_the_day_is_that_of_utc_or_the_one_before(user: uuid.UUID, ms: int) -> None:
    day = reader_day(user.bytes, ms)
    assert day in (ms // DAY_MS - 1, ms // DAY_MS)
    assert reader_day(user.bytes, ms + DAY_MS) == day + 1
    assert reader_day(user.bytes, ms + DAY_MS - 1) in (day, day + 1)


def test_not_everybody_s_day_begins_at_midnight() -> None:
    midnight = 20_000 * DAY_MS
    people = [uuid7_of(midnight, number * 0x9E3779B97F4A7C15).bytes for number in range(100)]
    begun = [reader_day(one, midnight + 3600_000) > reader_day(one, midnight - 3600_000) for one in people]
    assert sum(begun) < 30
