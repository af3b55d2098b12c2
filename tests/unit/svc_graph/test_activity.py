"""Activity: who is told as away beside a page, and what nobody may believe any more."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Sequence

import pytest
from aviary.graph.v1.events_pb2 import ReaderSignal

from runtime.errors import Unavailable
from runtime.ids import uuid7_of
from svc_graph import activity as module
from svc_graph.activity import Activity, ActivityLimits
from svc_graph.away import DAY_MS, latest_away
from svc_graph.days_memory import MemoryReaderDays
from svc_graph.packed import PackedPage
from tests.monotonic import Monotonic

TODAY = 20_000
LIMITS = ActivityLimits(settled_s=10, readers=1_000)
LATEST = latest_away(TODAY, LIMITS.active_days)
OLD = [uuid7_of(1_000 * DAY_MS, number).bytes for number in range(20)]
NEW = [uuid7_of(TODAY * DAY_MS, number).bytes for number in range(4)]
ASKED = "a page"


class Noon:
    """Noon of a day."""

    day = TODAY

    def now_ms(self) -> int:
        return self.day * DAY_MS + DAY_MS // 2

    def now_us(self) -> int:
        return self.now_ms() * 1000


class CountedDays(MemoryReaderDays):
    """Days whose reads are counted, and may be held up."""

    def __init__(self, clock: Noon) -> None:
        super().__init__(clock, LIMITS.kept_days)
        self.asked: list[bytes] = []
        self.held: asyncio.Event | None = None
        self.away = False

    async def seen(self, reader_ids: Sequence[bytes]) -> dict[bytes, int]:
        self.asked += reader_ids
        if self.away:
            raise Unavailable("away")
        found = await super().seen(reader_ids)
        if self.held is not None:
            await self.held.wait()
        return found


class Told:
    """One process, the signals that it hears, and what it says."""

    def __init__(self, limits: ActivityLimits = LIMITS) -> None:
        self.clock, self.now = Noon(), Monotonic()
        self.days = CountedDays(self.clock)
        self.activity = Activity(self.days, self.clock, limits, self.now)
        self.sequence = 0

    async def begin(self, since: int = 1_000, settled: bool = True) -> None:
        """Days are kept since then, and signals have been heard for long enough."""
        await self.days.begin(since)
        await self.hear()
        if settled:
            await self.live(LIMITS.settled_s + 1)
        await self.look()

    async def hear(self, *returned: bytes, sequence: int | None = None) -> None:
        """A signal arrives."""
        self.sequence = self.sequence + bool(returned) if sequence is None else sequence
        signal = ReaderSignal(publisher_id=b"p" * 16, sequence=self.sequence, returned_ids=returned)
        await self.activity.heard(signal)

    async def live(self, seconds: float) -> None:
        """Seconds pass in which signals arrive and somebody looks."""
        end = self.now.seconds + seconds
        while self.now.seconds < end:
            self.now.advance(0.5)
            await self.hear()
            self.activity.of("nobody asks for this", PackedPage(b"", False))

    async def look(self) -> None:
        """What the process does behind the answers, until it waits."""
        task = asyncio.create_task(self.activity.run())
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def away(self, page: PackedPage, asked: str = ASKED) -> set[bytes]:
        """Who is told as away."""
        bits = self.activity.of(asked, page)
        ids = [page.follower_ids[at : at + 16] for at in range(0, len(page.follower_ids), 16)]
        assert not bits or len(bits) == -(-len(ids) // 8)
        return {one for place, one in enumerate(ids) if bits and not bits[place // 8] & (0x80 >> place % 8)}

    async def known(self, page: PackedPage, asked: str = ASKED) -> set[bytes]:
        """Who is told as away when the page was asked for often enough."""
        for _ in range(2):
            self.away(page, asked)
            await self.look()
        await self.live(2)
        return self.away(page, asked)


def page_of(*ids: bytes) -> PackedPage:
    return PackedPage(b"".join(sorted(ids)), has_more=False)


@pytest.fixture
async def told() -> Told:
    told = Told()
    await told.begin()
    return told


async def test_of_the_followers_on_a_page_those_are_away_who_did_not_read_lately(told: Told) -> None:
    page = page_of(*OLD, *NEW)
    await told.days.put(OLD[3], TODAY)
    await told.days.put(OLD[5], LATEST + 1)
    await told.days.put(OLD[7], LATEST)
    assert await told.known(page) == set(OLD) - {OLD[3], OLD[5]}


async def test_a_page_is_answered_without_reading_days_and_only_who_asks_again_makes_them_read(told: Told) -> None:
    page = page_of(*OLD, *NEW)
    assert told.away(page) == set()
    await told.look()
    assert told.days.asked == []
    assert told.away(page) == set()
    await told.look()
    assert sorted(told.days.asked) == OLD
    assert await told.known(page) == set(OLD)
    assert sorted(told.days.asked) == OLD


async def test_those_registered_lately_are_never_asked_about(told: Told) -> None:
    page = page_of(*NEW)
    assert await told.known(page) == set()
    assert told.days.asked == []


async def test_a_reader_whose_return_is_heard_is_away_nowhere_from_then_on(told: Told) -> None:
    kept = page_of(*OLD)
    assert OLD[4] in await told.known(kept)
    await told.hear(OLD[4])
    assert told.away(kept) == set(OLD) - {OLD[4]}
    assert told.away(kept) == set(OLD) - {OLD[4]}
    for _ in range(2):
        # A page of a small account is another object each time.
        assert told.away(page_of(*OLD[:8]), "another") <= set(OLD) - {OLD[4]}


async def test_a_return_that_is_heard_while_days_are_read_is_later_than_what_is_read(told: Told) -> None:
    page = page_of(*OLD)
    told.away(page)
    told.away(page)
    told.days.held = asyncio.Event()
    looking = asyncio.create_task(told.activity.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(told.days.asked) == OLD
    await told.hear(OLD[2])
    told.days.held.set()
    told.days.held = None
    for _ in range(20):
        await asyncio.sleep(0)
    looking.cancel()
    await told.live(2)
    assert told.away(page) == set(OLD) - {OLD[2]}


async def test_nobody_is_away_before_signals_have_been_heard_for_a_while(told: Told) -> None:
    fresh = Told()
    await fresh.begin(settled=False)
    page = page_of(*OLD)
    await fresh.live(LIMITS.settled_s - 2)
    for _ in range(3):
        assert fresh.away(page) == set()
        await fresh.look()
    assert fresh.days.asked == []
    await fresh.live(3)
    assert await fresh.known(page) == set(OLD)


async def test_nobody_is_away_while_signals_are_missing_and_for_a_while_after(told: Told) -> None:
    page = page_of(*OLD)
    assert await told.known(page)
    told.now.advance(0.8)
    assert told.away(page) == set()
    await told.days.put(OLD[0], TODAY)
    await told.live(LIMITS.settled_s - 1)
    assert told.away(page) == set()
    await told.live(2)
    assert await told.known(page) == set(OLD) - {OLD[0]}


async def test_after_a_signal_that_was_lost_all_days_are_read_again(told: Told) -> None:
    page = page_of(*OLD)
    assert await told.known(page)
    await told.days.put(OLD[0], TODAY)
    await told.hear(sequence=told.sequence + 1)
    assert told.away(page) == set()
    await told.live(LIMITS.settled_s + 1)
    assert await told.known(page) == set(OLD) - {OLD[0]}


async def test_a_signal_that_is_lost_while_days_are_read_makes_the_answer_worthless(told: Told) -> None:
    page = page_of(*OLD)
    told.away(page)
    told.away(page)
    told.days.held = asyncio.Event()
    looking = asyncio.create_task(told.activity.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert told.days.asked
    await told.days.put(OLD[0], TODAY)
    await told.hear(sequence=told.sequence + 1)
    await told.live(LIMITS.settled_s + 1)
    told.days.held.set()
    for _ in range(20):
        await asyncio.sleep(0)
    looking.cancel()
    assert OLD[0] not in told.away(page)
    await told.live(2)
    assert OLD[0] not in told.away(page)


@pytest.mark.parametrize("since", [LATEST + 1, TODAY])
async def test_nobody_is_away_before_days_have_been_kept_for_long_enough(since: int) -> None:
    told = Told()
    await told.begin(since=since)
    assert await told.known(page_of(*OLD)) == set()
    assert told.days.asked == []
    told.clock.day += since - LATEST
    assert await told.known(page_of(*OLD)) == set(OLD)


async def test_days_begin_to_be_kept_at_the_first_start() -> None:
    told = Told()
    await told.look()
    assert await told.days.kept_since() == TODAY


async def test_when_the_days_are_lost_nobody_is_away_any_more_for_whom_they_would_be_read(told: Told) -> None:
    """A table that was emptied knows of nobody; that is no absence."""
    page, other = page_of(*OLD[:10]), page_of(*OLD[10:])
    await told.days.put(OLD[12], TODAY)
    assert await told.known(page) == set(OLD[:10])
    told.away(other, "other")
    told.away(other, "other")
    told.days.lose()
    await told.look()
    assert await told.known(other, "other") == set()
    assert await told.days.kept_since() == TODAY
    told.clock.day += LIMITS.active_days + 3
    await told.live(2 * module._VERDICTS_S + 1)
    assert await told.known(other, "other") == set(OLD[10:])


async def test_days_that_are_lost_while_they_are_read_judge_nobody(told: Told) -> None:
    page = page_of(*OLD)
    told.away(page)
    told.away(page)
    await told.days.put(OLD[1], TODAY)
    told.days.lose()
    told.days.held = asyncio.Event()
    looking = asyncio.create_task(told.activity._look_up(OLD))
    await asyncio.sleep(0)
    # Another process begins anew meanwhile.
    await told.days.begin(TODAY)
    told.days.held.set()
    await looking
    await told.live(2)
    assert told.away(page) == set()


async def test_while_days_cannot_be_read_nobody_new_is_away_and_later_they_are(told: Told) -> None:
    page = page_of(*OLD)
    told.days.away = True
    assert await told.known(page) == set()
    told.days.away = False
    assert await told.known(page) == set(OLD)


async def test_a_verdict_is_forgotten_within_an_hour(told: Told) -> None:
    page = page_of(*OLD)
    assert await told.known(page) == set(OLD)
    await told.days.put(OLD[0], TODAY)
    for _ in range(7):
        await told.live(510)
        told.away(page)
    assert told.away(page) == set()


async def test_what_is_known_of_a_page_is_not_told_of_the_one_that_took_its_place(told: Told) -> None:
    """Somebody followed: every bit behind the new one stands for another reader."""
    assert await told.known(page_of(*OLD[1:])) == set(OLD[1:])
    assert told.away(page_of(*OLD)) == set(OLD[1:])


async def test_no_more_readers_are_remembered_than_there_is_room_for() -> None:
    told = Told(ActivityLimits(settled_s=10, readers=40))
    await told.begin()
    everybody = [uuid7_of(1_000 * DAY_MS, number).bytes for number in range(0, 200)]
    for start in range(0, 200, 20):
        await told.known(page_of(*everybody[start : start + 20]), str(start))
        assert len(told.activity._young) + len(told.activity._old) <= 40


async def test_after_more_returns_than_are_remembered_nobody_is_away_until_bits_are_made_anew(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(*OLD)
    assert await told.known(page) == set(OLD)
    others = [uuid7_of(2_000 * DAY_MS, number).bytes for number in range(module._RETURNS)]
    await told.hear(OLD[3], *others)
    assert told.away(page) == set()
    assert told.away(page) == set(OLD) - {OLD[3]}


async def test_what_is_kept_of_a_page_does_not_keep_the_page(told: Told) -> None:
    page = page_of(*OLD)
    await told.known(page)
    left = weakref.ref(page)
    del page
    gc.collect()
    assert left() is None


@pytest.mark.parametrize(
    ("seen", "may_be"), [(None, True), (LATEST, True), (LATEST + 1, True), (LATEST + 2, False), (TODAY, False)]
)
async def test_who_may_be_taken_for_away_by_a_clock_that_is_a_day_ahead_is_told_to_have_returned(
    told: Told, seen: int | None, may_be: bool
) -> None:
    assert told.activity.may_be_away(OLD[0], seen) == may_be
    assert not told.activity.may_be_away(NEW[0], seen)
