"""Statuses are believed only while every publisher is heard, and a gap makes them unknown."""

from aviary.tweet.v1 import events_pb2

from statuses import FORGET_S, Statuses
from tests.unit.views.world import Monotonic

P1, P2, TWEET, AUTHOR = b"1" * 16, b"2" * 16, b"t" * 16, b"a" * 16


def beat(publisher: bytes, sequence: int, *deleted: bytes, goodbye: bool = False) -> events_pb2.TweetStatusSignal:
    changes = [events_pb2.TweetStatusChange(tweet_id=t, author_id=AUTHOR, deleted=True) for t in deleted]
    return events_pb2.TweetStatusSignal(publisher_id=publisher, sequence=sequence, changes=changes, goodbye=goodbye)


async def believed(clock: Monotonic, *publishers: bytes) -> tuple[Statuses, int]:
    """Statuses that have heard the publishers long enough."""
    statuses = Statuses(clock)
    for _ in range(2):
        for publisher in publishers:
            await statuses.heard(beat(publisher, 0))
        clock.advance(0.5)
    epoch = statuses.epoch()
    assert epoch is not None
    return statuses, epoch


async def test_nothing_is_believed_before_all_publishers_had_time_to_be_heard() -> None:
    clock = Monotonic()
    statuses = Statuses(clock)
    assert statuses.epoch() is None, "nobody was heard"
    await statuses.heard(beat(P1, 0))
    assert statuses.epoch() is None, "a second publisher may be about to speak"
    clock.advance(0.76)
    await statuses.heard(beat(P1, 0))
    assert statuses.epoch() is not None


async def test_heartbeats_keep_the_epoch() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1)
    for _ in range(10):
        clock.advance(0.25)
        await statuses.heard(beat(P1, 0))
    assert statuses.epoch() == epoch


async def test_a_deletion_is_known_at_once_and_told_once() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1)
    told: list[tuple[bytes, bytes]] = []
    statuses.watch(lambda tweet, author: told.append((tweet, author)), lambda: None)
    await statuses.heard(beat(P1, 1, TWEET))
    await statuses.heard(beat(P1, 1, TWEET))
    assert statuses.is_deleted(TWEET) and statuses.deleted_of([TWEET, AUTHOR]) == {TWEET}
    assert told == [(TWEET, AUTHOR)]
    assert statuses.epoch() == epoch


async def test_a_gap_moves_the_epoch_and_tells_that_signals_were_lost() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1)
    lost: list[int] = []
    statuses.watch(lambda *_: None, lambda: lost.append(1))
    await statuses.heard(beat(P1, 2, TWEET))
    assert statuses.epoch() != epoch and lost == [1]
    after = statuses.epoch()
    await statuses.heard(beat(P1, 2))
    assert statuses.epoch() == after


async def test_a_heartbeat_with_a_higher_number_is_a_gap_too() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1)
    await statuses.heard(beat(P1, 1))
    assert statuses.epoch() != epoch


async def test_silence_of_one_publisher_makes_everything_unknown_while_it_lasts_and_after() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1, P2)
    clock.advance(0.4)
    await statuses.heard(beat(P1, 0))
    clock.advance(0.4)
    assert statuses.epoch() is None, "P2 may delete and nobody hears it"
    await statuses.heard(beat(P1, 0))
    await statuses.heard(beat(P2, 0))
    assert statuses.epoch() not in (None, epoch)


async def test_silence_is_noticed_even_when_nobody_asked_meanwhile() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1)
    clock.advance(5)
    await statuses.heard(beat(P1, 0))
    assert statuses.epoch() not in (None, epoch)


async def test_a_publisher_that_says_goodbye_may_be_silent() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1, P2)
    await statuses.heard(beat(P2, 0, goodbye=True))
    for _ in range(4):
        clock.advance(0.25)
        await statuses.heard(beat(P1, 0))
    assert statuses.epoch() == epoch


async def test_the_last_words_of_a_goodbye_count() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1, P2)
    await statuses.heard(beat(P2, 3, goodbye=True))
    assert statuses.epoch() not in (None, epoch), "three signals were never heard"


async def test_a_publisher_that_died_is_forgotten_after_a_minute() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1, P2)
    for _ in range(int(FORGET_S / 0.5) - 1):
        clock.advance(0.5)
        await statuses.heard(beat(P1, 0))
    assert statuses.epoch() is None
    for _ in range(3):
        clock.advance(0.5)
        await statuses.heard(beat(P1, 0))
    assert statuses.epoch() not in (None, epoch)


async def test_a_new_publisher_heard_from_its_start_changes_nothing() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1)
    await statuses.heard(beat(P2, 1, TWEET))
    assert statuses.epoch() == epoch and statuses.is_deleted(TWEET)


async def test_a_new_publisher_heard_late_moves_the_epoch() -> None:
    clock = Monotonic()
    statuses, epoch = await believed(clock, P1)
    await statuses.heard(beat(P2, 7))
    assert statuses.epoch() not in (None, epoch)


async def test_remembered_deletions_are_bounded_and_forgetting_moves_the_epoch() -> None:
    clock = Monotonic()
    statuses = Statuses(clock, remembered=10)
    await statuses.heard(beat(P1, 0))
    clock.advance(0.76)
    await statuses.heard(beat(P1, 0))
    epoch = statuses.epoch()
    statuses.remember(n.to_bytes(16) for n in range(11))
    assert not statuses.is_deleted((0).to_bytes(16)) and statuses.is_deleted((10).to_bytes(16))
    assert statuses.epoch() != epoch
