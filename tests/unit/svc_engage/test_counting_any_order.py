"""Counts equal the rows whatever happens: any log, any interleaving of owners, crashes and failures of the store between any two steps."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from svc_engage.counting.changes import LOGS, Log
from tests.unit.svc_engage.counting_world import Owner, World, counted, follow, followed, like, run, tweeted

LIKES, FOLLOWS, TWEETS = LOGS
users, tweets, flags = st.integers(0, 2), st.integers(0, 1), st.booleans()


def versions() -> st.SearchStrategy[int]:
    """An edge's states come in any order, some twice."""
    return st.integers(1, 9)


def follows() -> st.SearchStrategy[Message]:
    # What state a version is, is fixed: its lowest bit says it, as svc_graph makes versions.
    def of(make: Callable[..., Message]) -> st.SearchStrategy[Message]:
        return st.builds(lambda a, b, v: make(a, b, v, bool(v & 1)), users, users, versions())

    return of(follow) | of(followed)


EVENTS: dict[str, tuple[Log, st.SearchStrategy[Message]]] = {
    "likes": (LIKES, st.builds(like, users, tweets, flags)),
    "follows": (FOLLOWS, follows()),
    "tweets": (TWEETS, st.builds(tweeted, users, tweets, flags)),
}
OWNER, FEW = st.integers(0, 1), st.integers(0, 6)
# What may happen next. Each owner stands before a call of the store, or has nothing to do; it is let go on by some calls.
STEPS = st.one_of(
    st.tuples(st.just("publish"), st.lists(st.integers(0, 30), min_size=1, max_size=4)),
    st.tuples(st.just("publish"), st.lists(st.integers(0, 30), min_size=1, max_size=4)),
    st.tuples(st.just("count"), st.tuples(OWNER, st.integers(1, 5))),
    st.tuples(st.just("count"), st.tuples(OWNER, st.integers(1, 5))),
    st.tuples(st.sampled_from(["pass", "pass", "refuse", "ghost", "die"]), st.tuples(OWNER, FEW)),
    st.tuples(st.sampled_from(["pass", "pass", "refuse", "ghost", "die"]), st.tuples(OWNER, FEW)),
    st.tuples(st.sampled_from(["begin", "lose"]), st.tuples(OWNER, FEW)),
    st.tuples(st.sampled_from(["again", "requested"]), st.integers(0, 30)),
    st.tuples(st.just("requested here"), st.tuples(OWNER, st.integers(0, 30))),
    st.tuples(st.just("in turn"), st.tuples(OWNER, st.integers(0, 30))),
    st.tuples(st.just("redis"), st.none()),
)


class Run:
    """One run: two who believe that they own the partition, and what they are made to do."""

    def __init__(self, log: Log, events: list[Message]) -> None:
        self.world = World(log)
        self.events = events
        self.owners = [Owner(self.world, gated=True) for _ in range(2)]

    async def step(self, what: str, how: Any) -> None:
        """Do one thing, and let everybody go on until they wait."""
        world = self.world
        if what == "publish":
            world.publish(*(self.events[n % len(self.events)] for n in how))
        elif what == "again":
            world.replay(how)
        elif what == "requested":
            if world.items and world.log is LIKES:
                await world.requested(world.items[how % len(world.items)])
        elif what == "requested here":
            number, item = how
            await self.requested(number, item)
        elif what == "in turn":
            # The partition comes to this owner, or back to it, who counts all that is there and one thing more.
            number, event = how
            world.publish(self.events[event % len(self.events)])
            await self.requested(number, len(world.items) - 1)
            self.owners[number].lose()
            await self.of_owner("count", number, 100)
        elif what == "redis":
            world.cache.away = not world.cache.away
        else:
            await self.of_owner(what, *how)
        await asyncio.sleep(2.1)
        await world.check()

    async def requested(self, number: int, item: int) -> None:
        """A request of the process of an owner has written the rows of a like."""
        if self.world.items and self.world.log is LIKES:
            known = self.owners[number].rounds.known
            await self.world.requested(self.world.items[item % len(self.world.items)], known)

    async def of_owner(self, what: str, number: int, few: int) -> None:
        """One of the owners takes facts and stands then, fails or is killed after some calls; or it reads the log from its beginning.

        Or it has lost the partition, and gets it back.
        """
        owner = self.owners[number]
        if what == "lose":
            owner.lose()
        if what == "begin":
            owner.at = min(owner.at, 0)
        owner.taking.append(asyncio.create_task(owner.take(few if what == "count" else 100)))
        for _ in range(100 if what == "count" else few):
            await asyncio.sleep(2.1)
            if not owner.gate.let(0):
                break
        if what == "die":
            await owner.die()
            self.owners[number] = Owner(self.world, gated=True)
        elif what in {"refuse", "ghost"}:
            await asyncio.sleep(2.1)
            owner.gate.let(0, what)

    async def end(self) -> None:
        """All comes back; one owner, a new one, counts what is left."""
        self.world.cache.away = False
        for owner in self.owners:
            owner.gate.let_all()
            await asyncio.gather(*owner.taking, return_exceptions=True)
            await owner.rounds.drain()
        await counted(self.world)


@pytest.mark.parametrize("name", EVENTS)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_counts_equal_rows_whatever_two_owners_do_at_every_step(name: str, data: st.DataObject) -> None:
    """P52. Duplicates, replays, versions in any order, crashes and unknown outcomes between any two calls of the store."""
    log, strategy = EVENTS[name]
    events = data.draw(st.lists(strategy, min_size=1, max_size=6), "events")
    steps = data.draw(st.lists(STEPS, max_size=25), "steps")

    async def main() -> None:
        one = Run(log, events)
        one.world.publish(*events)
        for what, how in steps:
            await one.step(what, how)
        await one.end()
        await one.world.all_is_right()

    run(main())


def test_two_owners_to_whom_a_partition_comes_in_turn_count_right_whoever_sets_what() -> None:
    """P52. Each remembers rows as it counted them, and none believes that when the other owned the partition in between."""
    turns = list(itertools.product([0, 1], [0, 1]))

    async def main() -> None:
        for steps in itertools.product(turns, repeat=3):
            one = Run(LIKES, [like(1), like(1, liked=False)])
            for how in steps:
                await one.step("in turn", how)
            await one.end()
            await one.world.all_is_right()

    run(main())
