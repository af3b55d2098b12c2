"""The way to database and cache: what is acknowledged is there, what is not may be, now or when a batch log is replayed."""

from typing import Any

import pytest

from runtime.errors import Unavailable
from simulation.dice import Odds
from simulation.loop import pause
from simulation.servers import REPLAYED_WITHIN_S, Database, Remote
from tests.unit.simulation.rig import Rig


class Kept:
    def __init__(self) -> None:
        self.values: list[int] = []

    async def insert(self, value: int) -> None:
        self.values.append(value)

    async def add(self, value: int) -> None:
        self.values.append(value)

    async def get(self) -> list[int]:
        return list(self.values)


class Place:
    def __init__(self, seed: int = 1) -> None:
        self.rig = Rig(seed)
        self.database = Database("database", self.rig.loop, self.rig.dice, self.rig.history)
        self.kept = Kept()
        self.store: Any = Remote(self.kept, self.database.reach)


@pytest.fixture
def place() -> Place:
    return Place()


def test_what_was_acknowledged_is_read(place: Place) -> None:
    async def main() -> None:
        await place.store.insert(1)
        assert await place.store.get() == [1]

    place.rig.run(main)


def test_a_database_that_is_away_answers_nobody_and_may_replay_what_it_was_sent() -> None:
    replayed = set()
    for seed in range(20):
        place = Place(seed)

        async def main(place: Place = place) -> None:
            place.database.go_away(60)
            with pytest.raises(Unavailable):
                await place.store.get()
            with pytest.raises(Unavailable):
                await place.store.add(1)
            assert place.kept.values == []
            await pause(60 + REPLAYED_WITHIN_S + 2)
            replayed.add(len(place.kept.values))

        place.rig.run(main)
    assert replayed == {0, 1}


def test_a_write_that_stores_repeat_is_repeated_until_it_is_acknowledged(place: Place) -> None:
    async def main() -> None:
        place.database.go_away(1)
        await place.store.insert(1)
        assert place.kept.values

    place.rig.run(main)


def test_an_unconfirmed_write_is_done_not_done_or_done_later() -> None:
    seen = set()
    for seed in range(60):
        place = Place(seed)

        async def main(place: Place = place) -> None:
            place.rig.dice.odds = Odds(unsure=1.0)
            with pytest.raises(Unavailable):
                await place.store.add(1)
            at_once = len(place.kept.values)
            await pause(REPLAYED_WITHIN_S + 1)
            seen.add((at_once, len(place.kept.values)))

        place.rig.run(main)
    assert seen == {(1, 1), (0, 0), (0, 1)}
