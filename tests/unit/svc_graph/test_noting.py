"""The days of readers are kept from what svc_timeline announces, and who returns is told after the day is stored."""

import math
from dataclasses import replace
from typing import Any

import pytest
from aviary.graph.v1.events_pb2 import ReaderSignal
from aviary.timeline.v1.events_pb2 import ReaderSeen

from runtime.bus import Poison
from runtime.errors import Unavailable
from runtime.faults import Faults
from runtime.ids import uuid7_of
from signals.publisher import Publisher
from simulation.bus import MemoryBus
from svc_graph.away import DAY_MS, day_of
from svc_graph.deps import Deps
from svc_graph.noting import keep_reader_day
from tests.unit.svc_graph.graph import Graph

AWAY = uuid7_of(1_000 * DAY_MS, 5).bytes


def today(graph: Graph) -> int:
    return day_of(graph.clock.now_ms())


def seen(reader: bytes, day: int) -> ReaderSeen:
    return ReaderSeen(user_id=reader, day=day)


def told(graph: Graph) -> list[bytes]:
    return [one for signal in graph.bus.signals if isinstance(signal, ReaderSignal) for one in signal.returned_ids]


def with_readers(graph: Graph, **others: Any) -> Deps:
    return replace(graph.deps, readers=replace(graph.deps.readers, **others))


async def gap(graph: Graph) -> bool:
    """Whether the next heartbeat shows listeners that they missed something."""
    shown = sum(isinstance(s, ReaderSignal) and bool(s.returned_ids) for s in graph.bus.signals)
    await graph.deps.readers.returns.goodbye()
    last = graph.bus.signals[-1]
    assert isinstance(last, ReaderSignal)
    return bool(last.sequence > shown)


async def test_who_was_away_is_stored_and_then_told_and_a_replay_does_neither(graph: Graph) -> None:
    event = seen(AWAY, today(graph))
    for _ in range(3):
        await keep_reader_day(event, graph.deps)
    assert await graph.deps.readers.days.seen([AWAY]) == {AWAY: today(graph)}
    assert told(graph) == [AWAY]


async def test_who_was_never_away_is_stored_and_told_to_nobody(graph: Graph) -> None:
    registered_now = graph.ids.next().bytes
    await keep_reader_day(seen(registered_now, today(graph)), graph.deps)
    await keep_reader_day(seen(AWAY, today(graph) - 1), graph.deps)
    before = told(graph)
    await keep_reader_day(seen(AWAY, today(graph)), graph.deps)
    assert told(graph) == before
    days = {registered_now: today(graph), AWAY: today(graph)}
    assert await graph.deps.readers.days.seen([registered_now, AWAY]) == days


async def test_days_in_another_order_leave_the_latest(graph: Graph) -> None:
    for day in (today(graph), today(graph) - 3, today(graph) - 1):
        await keep_reader_day(seen(AWAY, day), graph.deps)
    assert await graph.deps.readers.days.seen([AWAY]) == {AWAY: today(graph)}


async def test_a_day_that_could_not_be_stored_is_tried_again_and_listeners_doubt_what_they_know(graph: Graph) -> None:
    """It may be stored all the same: whoever reads days before and after would know two truths."""

    class Away(type(graph.deps.readers.days)):  # type: ignore[misc]
        async def put(self, reader_id: bytes, day: int) -> None:
            raise Unavailable("away")

    days = Away(graph.clock, 40)
    with pytest.raises(Unavailable):
        await keep_reader_day(seen(AWAY, today(graph)), with_readers(graph, days=days))
    assert await gap(graph)


async def test_a_process_that_cannot_tell_makes_listeners_doubt_what_they_know(graph: Graph) -> None:
    returns = Publisher(graph.bus, ReaderSignal, b"r" * 16, silence_noticed_s=0, remembered_s=-math.inf)
    graph.bus.down = True
    deps = with_readers(graph, returns=returns)
    with pytest.raises(Unavailable):
        await keep_reader_day(seen(AWAY, today(graph)), deps)
    graph.bus.down = False
    assert await gap(replace(graph, deps=deps))


async def test_the_day_is_stored_before_anybody_is_told(graph: Graph) -> None:
    """Who hears of it and reads the day then must find it."""

    class Passing(Faults):
        def at(self, point: str) -> None:
            passed.append((point, told(graph)))

    passed: list[tuple[str, list[bytes]]] = []
    await keep_reader_day(seen(AWAY, today(graph)), replace(graph.deps, faults=Passing()))
    assert passed == [("graph.return.after_stored", [])]


async def test_what_is_no_id_is_set_aside(graph: Graph) -> None:
    assert isinstance(graph.bus, MemoryBus)
    with pytest.raises(Poison):
        await keep_reader_day(seen(b"short", 5), graph.deps)
