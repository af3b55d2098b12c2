"""Who owns what by the roll alone: shares, deaths, joining and leaving, whatever the order in which processes look."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from nats.aio.msg import Msg

from ordered.leases import TTL_S, Leases, Roll
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


class Document:
    """The document of one durable in the broker."""

    def __init__(self) -> None:
        self.value, self.revision, self.writes = b"{}", 0, 0

    async def get(self, _key: str) -> SimpleNamespace:
        return SimpleNamespace(value=self.value, revision=self.revision)

    async def update(self, _key: str, value: bytes, last: int) -> int:
        assert last == self.revision
        self.value, self.revision, self.writes = value, last + 1, self.writes + 1
        return self.revision


def leases_in(document: Any, name: str) -> Leases:
    streams: Any = None
    leases = Leases(streams, "durable", name, TTL_S)
    leases._kv = document
    return leases


async def test_looks_at_a_roll_that_nobody_changed_write_nothing_and_who_joins_is_seen_at_the_next() -> None:
    document = Document()
    first, second = leases_in(document, "a"), leases_in(document, "b")
    for _ in range(10):
        await first.look([])
    assert (document.writes, len(first.held), first.surplus) == (1, PARTITIONS, [])
    await second.look([])
    await first.look([])
    assert len(first.surplus) == PARTITIONS // 2
    await first.look(first.surplus)
    await second.look([])
    assert sorted([*first.held, *second.held]) == list(range(PARTITIONS))


async def test_a_process_is_dead_when_its_time_is_over_though_the_roll_stays_as_it_is() -> None:
    document = Document()
    dead, other = leases_in(document, "dead"), leases_in(document, "other")
    await dead.look([])
    await other.look([])
    assert not other.held
    other._beats["dead"] = (other._beats["dead"][0], float("-inf"))
    await other.look([])
    assert len(other.held) == PARTITIONS


async def test_a_document_that_was_made_again_is_read_though_its_revision_is_a_known_one() -> None:
    document = Document()
    leases = leases_in(document, "a")
    await leases.look([])
    document.value = b"{}"
    await leases.look([])
    assert document.writes == 2


@pytest.mark.parametrize("head", ["$JS.ACK", "$JS.ACK._.hash", "$JS.ACK.domain.hash"])
@pytest.mark.parametrize("tail", ["", ".random"])
def test_sequences_are_those_of_the_metadata(head: str, tail: str) -> None:
    if head == "$JS.ACK" and tail:
        return
    reply = f"{head}.stream.consumer.1.4711.42.1700000000000000000.3{tail}"
    expected = Msg.Metadata._from_reply(reply).sequence
    assert sequences_of(reply) == (expected.stream, expected.consumer) == (4711, 42)
