"""Signals: listeners hear of a change, or notice that they hear nothing."""

import asyncio

import pytest
from aviary.mesh.v1.mesh_pb2 import GetBacklogRequest
from aviary.tweet.v1.events_pb2 import TweetStatusChange, TweetStatusSignal

from runtime.errors import Unavailable
from signals.publisher import Publisher
from simulation.bus import MemoryBus
from tests.unit.svc_tweet.world import only

PUBLISHER = b"p" * 16
GONE = TweetStatusChange(tweet_id=b"t" * 16, author_id=b"a" * 16, deleted=True)


def heard(bus: MemoryBus) -> list[tuple[int, int, bool]]:
    """(sequence, changes, goodbye) of every signal."""
    signals = [only(signal, TweetStatusSignal) for signal in bus.signals]
    assert {signal.publisher_id for signal in signals} <= {PUBLISHER}
    return [(signal.sequence, len(signal.changes), signal.goodbye) for signal in signals]


async def one_heartbeat(bus: MemoryBus, signals: Publisher) -> None:
    """Beat until a signal is heard; the bus comes back after the first beat."""
    heartbeat = asyncio.Event()

    async def hear(_: TweetStatusSignal) -> None:
        heartbeat.set()

    await bus.listen(TweetStatusSignal, hear)
    beating = asyncio.create_task(signals.beat())
    await asyncio.sleep(0)
    bus.down = False
    await heartbeat.wait()
    assert not beating.done()
    beating.cancel()


async def test_sequences_rise_with_changes_and_heartbeats_repeat_the_last() -> None:
    bus = MemoryBus()
    signals = Publisher(bus, TweetStatusSignal, PUBLISHER)
    await signals.tell(changes=[GONE])
    await signals.tell(changes=[GONE, GONE])
    await signals.goodbye()
    assert heard(bus) == [(1, 1, False), (2, 2, False), (2, 0, True)]


async def test_a_lost_signal_shows_as_a_gap_at_the_next_heartbeat_and_is_waited_for() -> None:
    bus = MemoryBus()
    signals = Publisher(bus, TweetStatusSignal, PUBLISHER, silence_noticed_s=0.05)
    await one_heartbeat(bus, signals)
    bus.down = True
    started = asyncio.get_running_loop().time()
    await signals.tell(changes=[GONE])
    assert asyncio.get_running_loop().time() - started >= 0.05
    bus.down = False
    await one_heartbeat(bus, signals)
    assert heard(bus) == [(0, 0, False), (1, 0, False)]


async def test_a_publisher_that_caches_may_have_forgotten_does_not_take_its_silence_for_heard() -> None:
    """Promise 4: cut off for longer than caches wait, beside another publisher that they hear, it could show them nothing."""
    bus = MemoryBus()
    unheard = Publisher(bus, TweetStatusSignal, PUBLISHER, silence_noticed_s=0)
    forgotten = Publisher(bus, TweetStatusSignal, PUBLISHER, silence_noticed_s=0.02, remembered_s=0.01)
    await one_heartbeat(bus, forgotten)
    bus.down = True
    for signals in (unheard, forgotten):
        with pytest.raises(Unavailable):
            await signals.tell(changes=[GONE])
    bus.down = False
    await forgotten.tell(changes=[GONE])
    # The number of what was not told is used up: whoever hears this one knows that something is missing.
    assert heard(bus)[-1] == (2, 1, False)


async def test_heartbeats_go_on_through_an_outage() -> None:
    bus = MemoryBus()
    bus.down = True
    await one_heartbeat(bus, Publisher(bus, TweetStatusSignal, PUBLISHER))
    assert heard(bus) == [(0, 0, False)]


@pytest.mark.parametrize("how", [TimeoutError, asyncio.CancelledError], ids=["failed", "was cut off"])
async def test_a_write_that_failed_shows_as_a_gap_although_nothing_was_told(how: type[BaseException]) -> None:
    bus = MemoryBus()
    signals = Publisher(bus, TweetStatusSignal, PUBLISHER)
    with pytest.raises(how), signals.doubted_unless_told():
        raise how
    await signals.goodbye()
    assert heard(bus) == [(1, 0, True)]


async def test_what_was_told_leaves_no_gap() -> None:
    bus = MemoryBus()
    signals = Publisher(bus, TweetStatusSignal, PUBLISHER)
    with signals.doubted_unless_told():
        await signals.tell(changes=[GONE])
    await signals.goodbye()
    assert heard(bus) == [(1, 1, False), (1, 0, True)]


def test_only_events_can_be_signalled() -> None:
    with pytest.raises(ValueError, match="no event"):
        Publisher(MemoryBus(), GetBacklogRequest, PUBLISHER)
