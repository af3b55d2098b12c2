"""What was learned is believed only while every publisher is heard, and a gap makes it unknown."""

from aviary.tweet.v1.events_pb2 import TweetStatusChange, TweetStatusSignal
from aviary.user.v1.events_pb2 import AccountSignal

from signals.epochs import FORGET_S, Epochs
from tests.monotonic import Monotonic

P1, P2 = b"1" * 16, b"2" * 16
CHANGE = TweetStatusChange(tweet_id=b"t" * 16, author_id=b"a" * 16, deleted=True)


def beat(publisher: bytes, sequence: int, *changes: TweetStatusChange, goodbye: bool = False) -> TweetStatusSignal:
    return TweetStatusSignal(publisher_id=publisher, sequence=sequence, changes=changes, goodbye=goodbye)


def believed(clock: Monotonic, *publishers: bytes) -> tuple[Epochs, int]:
    """Epochs that have heard the publishers long enough."""
    epochs = Epochs(clock, TweetStatusSignal)
    for _ in range(2):
        for publisher in publishers:
            epochs.heard(beat(publisher, 0))
        clock.advance(0.5)
    epoch = epochs.epoch()
    assert epoch is not None
    return epochs, epoch


def test_nothing_is_believed_before_all_publishers_had_time_to_be_heard() -> None:
    clock = Monotonic()
    epochs = Epochs(clock, TweetStatusSignal)
    assert epochs.epoch() is None, "nobody was heard"
    epochs.heard(beat(P1, 0))
    assert epochs.epoch() is None, "a second publisher may be about to speak"
    clock.advance(0.76)
    epochs.heard(beat(P1, 0))
    assert epochs.epoch() is not None


def test_heartbeats_keep_the_epoch() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1)
    for _ in range(10):
        clock.advance(0.25)
        epochs.heard(beat(P1, 0))
    assert epochs.epoch() == epoch


def test_a_gap_moves_the_epoch_and_tells_that_signals_were_lost() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1)
    lost: list[int] = []
    epochs.watch_lost(lambda: lost.append(1))
    epochs.heard(beat(P1, 2, CHANGE))
    assert epochs.epoch() != epoch and lost == [1]
    after = epochs.epoch()
    epochs.heard(beat(P1, 2))
    assert epochs.epoch() == after


def test_a_heartbeat_with_a_higher_number_is_a_gap_too() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1)
    epochs.heard(beat(P1, 1))
    assert epochs.epoch() != epoch


def test_silence_of_one_publisher_makes_everything_unknown_while_it_lasts_and_after() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1, P2)
    clock.advance(0.4)
    epochs.heard(beat(P1, 0))
    clock.advance(0.4)
    assert epochs.epoch() is None, "P2 may delete and nobody hears it"
    epochs.heard(beat(P1, 0))
    epochs.heard(beat(P2, 0))
    assert epochs.epoch() not in (None, epoch)


def test_of_several_publishers_the_one_that_was_heard_least_lately_bounds_the_belief() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1, P2)
    epochs.heard(beat(P1, 0))
    clock.advance(0.2)
    epochs.heard(beat(P2, 0))
    clock.advance(0.3)
    assert epochs.epoch() == epoch
    clock.advance(0.3)
    assert epochs.epoch() is None, "P1 is silent for 800 ms, and P2 for 500"


def test_silence_is_noticed_even_when_nobody_asked_meanwhile() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1)
    clock.advance(5)
    epochs.heard(beat(P1, 0))
    assert epochs.epoch() not in (None, epoch)


def test_a_publisher_that_says_goodbye_may_be_silent() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1, P2)
    epochs.heard(beat(P2, 0, goodbye=True))
    for _ in range(4):
        clock.advance(0.25)
        epochs.heard(beat(P1, 0))
    assert epochs.epoch() == epoch


def test_when_the_last_publisher_said_goodbye_nothing_is_believed_at_once() -> None:
    """Whoever comes next may change something before anybody here has heard of them."""
    clock = Monotonic()
    epochs, _ = believed(clock, P1)
    epochs.heard(beat(P1, 0, goodbye=True))
    assert epochs.epoch() is None


def test_the_last_words_of_a_goodbye_count() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1, P2)
    epochs.heard(beat(P2, 3, goodbye=True))
    assert epochs.epoch() not in (None, epoch), "three signals were never heard"


def test_a_publisher_that_died_is_forgotten_after_a_minute() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1, P2)
    for _ in range(int(FORGET_S / 0.5) - 1):
        clock.advance(0.5)
        epochs.heard(beat(P1, 0))
    assert epochs.epoch() is None
    for _ in range(3):
        clock.advance(0.5)
        epochs.heard(beat(P1, 0))
    assert epochs.epoch() not in (None, epoch)


def test_a_new_publisher_heard_from_its_start_changes_nothing() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1)
    epochs.heard(beat(P2, 1, CHANGE))
    assert epochs.epoch() == epoch


def test_a_new_publisher_heard_late_moves_the_epoch() -> None:
    clock = Monotonic()
    epochs, epoch = believed(clock, P1)
    lost: list[int] = []
    epochs.watch_lost(lambda: lost.append(1))
    epochs.heard(beat(P2, 7))
    assert epochs.epoch() not in (None, epoch)
    assert not lost, "what it said before may be long known; streams do not begin anew because a process joins"


def test_whoever_stopped_watching_is_not_told() -> None:
    clock = Monotonic()
    epochs, _ = believed(clock, P1)
    lost: list[int] = []
    epochs.watch_lost(lambda: lost.append(1))()
    epochs.heard(beat(P1, 2, CHANGE))
    assert not lost


def test_every_repeated_field_makes_a_signal_more_than_a_heartbeat() -> None:
    """Of several kinds of news in one signal each takes a number, so that losing any of them shows."""
    clock = Monotonic()
    epochs = Epochs(clock, AccountSignal)
    epochs.heard(AccountSignal(publisher_id=P1))
    clock.advance(0.7)
    epochs.heard(AccountSignal(publisher_id=P1))
    clock.advance(0.1)
    epoch = epochs.epoch()
    assert epoch is not None
    epochs.heard(AccountSignal(publisher_id=P1, sequence=1, ended_sessions=[b"s" * 16]))
    assert epochs.epoch() == epoch
    epochs.heard(AccountSignal(publisher_id=P1, sequence=2))
    assert epochs.epoch() not in (None, epoch), "something took the second number that was not heard"
