"""How far ordered work is behind: what is asked of the broker, and that nothing is left only when nothing is."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.js.errors import NotFoundError

from ordered.lag import Lag
from ordered.port import Ordered
from runtime.bus import ConsumerState, NatsBus
from runtime.bus.envelope import PARTITIONS

CREATED = datetime.fromtimestamp(1, UTC)


@dataclass
class Stream:
    """A stream as its leader tells of it, and where work stands in it; `held` are partitions by sequence."""

    held: dict[int, int] = field(default_factory=dict)
    stands: dict[int, int] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    durable = "work"

    async def stream_info(self, name: str, **asked: Any) -> Any:
        subjects: dict[str, int] = {}
        for number in self.held.values():
            subjects[f"s.{number:03d}"] = subjects.get(f"s.{number:03d}", 0) + 1
        last = max(self.held, default=0)
        state = SimpleNamespace(first_seq=min(self.held, default=0), last_seq=last, subjects=subjects, messages=0)
        return SimpleNamespace(state=state, created=CREATED, config=SimpleNamespace(max_msgs=0, max_bytes=0))

    async def get_msg(self, name: str, **asked: Any) -> Any:
        number, seq = int(asked["subject"][-3:]), asked["seq"]
        self.asked.append(number)
        found = [at for at, held in sorted(self.held.items()) if held == number and at >= seq]
        if not found:
            raise NotFoundError
        return SimpleNamespace(seq=found[0], time=None)

    async def dead_letters(self, durable: str) -> tuple[int, float]:
        return 0, 0.0

    async def positions(self) -> dict[int, int]:
        return {number: int(CREATED.timestamp() * 1e6) + at for number, at in self.stands.items()}


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def look(stream: Stream) -> Callable[[], Coroutine[Any, Any, ConsumerState]]:
    bus = SimpleNamespace(streams=SimpleNamespace(js=stream), dead_letters=stream.dead_letters)
    lag = Lag(cast(NatsBus, bus), "s", "s.{}", cast(Ordered, stream))
    return lambda: lag.state(lambda number: False)


Look = Callable[[], Coroutine[Any, Any, ConsumerState]]


async def test_of_a_stream_without_messages_nothing_is_asked(stream: Stream, look: Look) -> None:
    assert (await look()).pending == 0
    assert stream.asked == []


async def test_at_rest_no_partition_is_asked_for_and_no_task_is_begun(
    stream: Stream, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.held = {1: 7, 2: 8, 3: 7}
    stream.stands = dict.fromkeys(range(PARTITIONS), 3)
    assert (await look()).pending == 0
    stream.stands[8] = 1
    assert (await look()).pending == 1
    stream.asked.clear()
    monkeypatch.setattr(asyncio, "gather", None)
    assert (await look()).pending == 1
    assert stream.asked == []


async def test_only_partitions_that_moved_past_what_is_known_of_them_are_asked_for_again(
    stream: Stream, look: Look
) -> None:
    stream.held = {1: 7, 2: 8, 3: 7}
    assert (await look()).pending == 3
    assert sorted(stream.asked) == list(range(PARTITIONS))
    stream.asked.clear()
    stream.stands = {7: 1}
    assert (await look()).pending > 0
    assert stream.asked == [7]


async def test_a_position_that_goes_back_is_looked_at_from_there(stream: Stream, look: Look) -> None:
    """A table that was restored: what was known of what lay further on hides nothing before it."""
    stream.held = {1: 7, 2: 8, 3: 7}
    stream.stands = dict.fromkeys(range(PARTITIONS), 2)
    assert (await look()).pending == 1
    stream.stands[7] = 3
    assert (await look()).pending == 0
    stream.stands[8] = 0
    assert (await look()).pending > 0
