"""Counts equal the rows whatever happens: any log, any interleaving of owners, crashes and failures of the store between any two steps."""

import asyncio
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
    st.tuples(st.just("begin"), st.tuples(OWNER, FEW)),
    st.tuples(st.sampled_from(["again", "requested"]), st.integers(0, 30)),
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
        elif what == "redis":
            world.cache.away = not world.cache.away
        else:
            await self.of_owner(what, *how)
        await asyncio.sleep(2.1)
        await world.check()

    async def of_owner(self, what: str, number: int, few: int) -> None:
        """One of the owners takes facts and stands then, fails or is killed after some calls; or it reads the log from its beginning."""
        owner = self.owners[number]
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
