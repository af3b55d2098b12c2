"""Who owns what by the roll alone: shares, deaths, joining and leaving, whatever the order in which processes look."""

import random

import pytest
from nats.aio.msg import Msg

from ordered.leases import Roll
from runtime.bus.envelope import PARTITIONS
from runtime.bus.pull import sequences_of


def looked(roll: Roll, names: list[str], times: int = 3) -> Roll:
    """The roll after every process looked some times, giving up at each look what is too much for it."""
    for _ in range(times):
        for name in names:
            roll = roll.claimed(name, roll.surplus(name))
    return roll


def owned_once(roll: Roll) -> bool:
    return sorted(p for owned in roll.owners.values() for p in owned) == list(range(PARTITIONS))


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 7, 16, 300])
def test_every_partition_is_owned_once_and_nobody_has_more_than_a_fair_share(processes: int) -> None:
    names = [f"p{n}" for n in range(processes)]
    roll = looked(Roll(), names)
    assert owned_once(roll)
    assert max(len(owned) for owned in roll.owners.values()) <= -(-PARTITIONS // processes)


def test_nothing_moves_while_nobody_comes_or_goes() -> None:
    roll = looked(Roll(), ["a", "b", "c"])
    assert looked(roll, ["c", "a", "b"]).owners == roll.owners


def test_a_look_counts_the_beat_of_its_process_alone() -> None:
    roll = Roll({"a": 4, "b": 9}, {"a": [0], "b": [1]}).claimed("a", [])
    assert roll.beats == {"a": 5, "b": 9}


def test_what_a_dead_process_owned_goes_to_the_living() -> None:
    roll = looked(Roll(), ["a", "b"]).without(["a"])
    assert set(roll.beats) == {"b"}
    roll = looked(roll, ["b"])
    assert roll.owners == {"b": roll.owners["b"]}
    assert owned_once(roll)


def test_what_is_given_up_is_not_taken_back_by_the_same_look() -> None:
    roll = looked(Roll(), ["a"]).claimed("b", [])
    surplus = roll.surplus("a")
    assert len(surplus) == PARTITIONS // 2
    after = roll.claimed("a", surplus)
    assert set(after.owners["a"]).isdisjoint(surplus)
    assert after.owners["b"] == []


def test_no_partition_is_ever_owned_twice_while_processes_come_and_go() -> None:
    dice, roll, alive = random.Random(7), Roll(), ["p0"]
    for number in range(1, 200):
        match dice.randrange(3):
            case 0:
                alive.append(f"p{number}")
            case 1 if len(alive) > 1:
                roll = roll.without([alive.pop(dice.randrange(len(alive)))])
            case _:
                roll = looked(roll, [dice.choice(alive)], times=1)
        owned = [p for some in roll.owners.values() for p in some]
        assert len(owned) == len(set(owned))
    assert owned_once(looked(roll, alive))


@pytest.mark.parametrize("head", ["$JS.ACK", "$JS.ACK._.hash", "$JS.ACK.domain.hash"])
@pytest.mark.parametrize("tail", ["", ".random"])
def test_sequences_are_those_of_the_metadata(head: str, tail: str) -> None:
    if head == "$JS.ACK" and tail:
        return
    reply = f"{head}.stream.consumer.1.4711.42.1700000000000000000.3{tail}"
    expected = Msg.Metadata._from_reply(reply).sequence
    assert sequences_of(reply) == (expected.stream, expected.consumer) == (4711, 42)
