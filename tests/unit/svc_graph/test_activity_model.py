"""Whoever reads is away nowhere soon after, whatever happens to signals, processes and the table; who never reads is in the end."""

import asyncio
import math
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from aviary.graph.v1.events_pb2 import ReaderSignal
from aviary.timeline.v1.events_pb2 import ReaderSeen
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.faults import Faults
from runtime.ids import uuid7_of
from signals.publisher import Publisher
from simulation.bus import MemoryBus
from svc_graph.activity import Activity, ActivityLimits
from svc_graph.away import DAY_MS, day_of
from svc_graph.days_memory import MemoryReaderDays
from svc_graph.deps import Readers
from svc_graph.noting import keep_reader_day
from svc_graph.packed import PackedPage
from tests.monotonic import Monotonic

STEP_S = 0.25
LATE_STEPS = 8
"""So much later than others a signal arrives here."""
KNOWN_EVERYWHERE_S = 0.75 + (LATE_STEPS + 2) * STEP_S
"""Heartbeats from before a signal, as late as can be, hide its loss; then there is silence, or another number."""
LIMITS = ActivityLimits(settled_s=3)
READERS = [uuid7_of(1_000 * DAY_MS, number).bytes for number in range(6)]
PAGE = PackedPage(b"".join(READERS), has_more=False)


class Dies(Exception):
    """The process is gone."""


class DiesAt(Faults):
    def at(self, point: str) -> None:
        raise Dies


class Air(MemoryBus):
    """Carries each signal to each process for itself: at once, later, twice, or never."""

    def __init__(self, world: "World") -> None:
        super().__init__("graph")
        self._world = world

    async def signal(self, message: Any) -> None:
        for process in self._world.processes:
            fate = self._world.dice.random() if self._world.wild else 1.0
            if fate > 0.1:
                process.coming.append(
                    (self._world.step + (self._world.dice.randrange(LATE_STEPS + 1) if fate < 0.3 else 0), message)
                )
            if fate < 0.2:
                process.coming.append((self._world.step + self._world.dice.randrange(LATE_STEPS + 1), message))


class SlowDays(MemoryReaderDays):
    """Answers what was so when it was asked, some steps later."""

    def __init__(self, world: "World") -> None:
        super().__init__(world, LIMITS.kept_days)
        self._world = world

    async def seen(self, reader_ids: Sequence[bytes]) -> dict[bytes, int]:
        found = await super().seen(reader_ids)
        await self._world.later()
        return found

    async def kept_since(self) -> int | None:
        found = await super().kept_since()
        await self._world.later()
        return found


class Process:
    """One process of svc_graph."""

    def __init__(self, world: "World") -> None:
        self.coming: list[tuple[int, Any]] = []
        self.activity = Activity(world.days, world, LIMITS, world.now)
        self.returns = Publisher(
            world.air, ReaderSignal, world.dice.randbytes(16), silence_noticed_s=0, remembered_s=math.inf
        )
        self.running = asyncio.create_task(self.activity.run())

    async def hear(self, step: int) -> None:
        now = [message for due, message in self.coming if due <= step]
        self.coming = [one for one in self.coming if one[0] > step]
        for message in now:
            await self.activity.heard(message)

    def away(self) -> set[bytes]:
        bits = self.activity.of("kept", PAGE) or b"\xff"
        fresh = self.activity.of("fresh", PackedPage(PAGE.follower_ids, has_more=False)) or b"\xff"
        return {one for place, one in enumerate(READERS) if not bits[0] & fresh[0] & (0x80 >> place)}


class World:
    """Processes, the table, the time, and what is certain of readers."""

    def __init__(self, seed: int) -> None:
        self.dice, self.wild = random.Random(seed), True
        self.now, self.step, self.ms = Monotonic(), 0, 20_000 * DAY_MS
        self.air, self.days = Air(self), SlowDays(self)
        self.noted: dict[bytes, tuple[int, float]] = {}
        """The day that was stored, and when all was done that is ever done for it."""
        self.processes: list[Process] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._notes: list[asyncio.Task[None]] = []

    def now_ms(self) -> int:
        return self.ms

    def now_us(self) -> int:
        return self.ms * 1000

    async def later(self) -> None:
        """Some steps pass."""
        if self.wild and self.dice.random() < 0.5:
            done = asyncio.get_running_loop().create_future()
            self._waiting.append((self.step + self.dice.randrange(1, 6), done))
            await done

    async def pass_time(self, steps: int) -> None:
        for _ in range(steps):
            self.step += 1
            self.now.advance(STEP_S)
            for process in self.processes:
                await process.returns._try()
                await process.hear(self.step)
                process.activity._work.set()
            for due, done in list(self._waiting):
                if due <= self.step:
                    self._waiting.remove((due, done))
                    if not done.done():
                        done.set_result(None)
            for _ in range(12):
                await asyncio.sleep(0)
            self.check()

    def check(self) -> None:
        today = day_of(self.ms)
        for process in self.processes:
            away = process.away()
            for reader, (day, done) in self.noted.items():
                if today - day <= LIMITS.active_days and self.now.seconds - done > KNOWN_EVERYWHERE_S:
                    assert reader not in away, f"step {self.step}: {READERS.index(reader)} read on day {day}"

    def note(self, reader: bytes, process: Process, *, dies: bool) -> None:
        self._notes.append(asyncio.create_task(self._note(reader, process, dies)))

    async def _note(self, reader: bytes, process: Process, dies: bool) -> None:
        event = ReaderSeen(user_id=reader, day=day_of(self.ms))
        readers = Readers(self.days, process.activity, process.returns)
        deps: Any = SimpleNamespace(readers=readers, faults=DiesAt() if dies else Faults())
        try:
            await keep_reader_day(event, deps)
        except Dies:
            self.end(process)
            self.processes.append(another := Process(self))
            # The event comes again, to another.
            deps.readers, deps.faults = Readers(self.days, another.activity, another.returns), Faults()
            await keep_reader_day(event, deps)
        self.noted[reader] = (event.day, self.now.seconds)

    def end(self, process: Process) -> None:
        if process in self.processes:
            self.processes.remove(process)
        process.running.cancel()

    async def calm(self) -> None:
        """Nothing is lost or late any more, for as long as it takes."""
        self.wild = False
        await self.pass_time(int(70 / STEP_S))
        for note in self._notes:
            await note

    async def close(self) -> None:
        for note in self._notes:
            note.cancel()
        for process in list(self.processes):
            self.end(process)
        await asyncio.sleep(0)


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["note", "note", "die", "start", "lose", "day", "calm"]),
        st.integers(0, len(READERS) - 2),
        st.integers(1, 30),
    ),
    max_size=25,
)


async def lived(seed: int, acts: Sequence[tuple[str, int, int]]) -> World:
    world = World(seed)
    await world.days.begin(1_000)
    world.processes += [Process(world), Process(world)]
    await world.pass_time(20)
    for act, number, steps in acts:
        process = world.dice.choice(world.processes)
        if act in ("note", "die"):
            world.note(READERS[number], process, dies=act == "die")
        elif act == "start":
            world.processes.append(Process(world))
        elif act == "lose":
            world.days.lose()
        elif act == "day":
            world.ms += steps * DAY_MS
        else:
            world.wild = not world.wild
        await world.pass_time(steps)
    return world


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), acts=ACTS)
def test_who_read_is_away_nowhere_soon_after_and_who_never_reads_is_in_the_end(
    seed: int, acts: list[tuple[str, int, int]]
) -> None:
    """Signals are lost, late and doubled, processes die between the day and the signal, the table is emptied, days go by."""

    async def live() -> None:
        world = await lived(seed, acts)
        await world.calm()
        # Who was found active while days were kept for too short a time is believed to be for the rest of the hour.
        if not {"lose", "day"} & {act for act, _, _ in acts}:
            assert all(READERS[-1] in process.away() for process in world.processes)
        await world.close()

    asyncio.run(live())
