"""Deletions that were heard are known, and statuses are believed only in an epoch of their signals."""

from aviary.tweet.v1 import events_pb2

from statuses import Statuses
from tests.monotonic import Monotonic

P1, P2, TWEET, AUTHOR = b"1" * 16, b"2" * 16, b"t" * 16, b"a" * 16


def beat(publisher: bytes, sequence: int, *deleted: bytes) -> events_pb2.TweetStatusSignal:
    changes = [events_pb2.TweetStatusChange(tweet_id=t, author_id=AUTHOR, deleted=True) for t in deleted]
    return events_pb2.TweetStatusSignal(publisher_id=publisher, sequence=sequence, changes=changes)


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
