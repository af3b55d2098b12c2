"""The counting machine, sentence by sentence; what it bears in any order is test_counting_any_order.py."""

import asyncio
import itertools
from typing import Any

import pytest

from ordered import Item, Slice
from runtime.bus import Poison
from svc_engage.counting.changes import LOGS
from svc_engage.counting.memory import MUCH
from svc_engage.domain.marks import UNMARKED, MarkKind
from svc_engage.domain.relations import Count, Kind, Subject
from svc_engage.events import like_state
from tests.unit.svc_engage.counting_world import (
    PARTITION,
    TWEETS,
    USERS,
    Owner,
    World,
    counted,
    follow,
    followed,
    like,
    run,
    tweeted,
)

LIKES, FOLLOWS, TWEETED = LOGS
LIKED = Subject(TWEETS[0], Kind.LIKES)
POINTS = [f"engage.count.after_{step}" for step in ("counts", "redis", "rows", "position")]


def test_likes_follows_and_tweets_are_counted_with_the_same_machine() -> None:
    async def main() -> None:
        likes, follows, tweets = World(LIKES), World(FOLLOWS), World(TWEETED)
        likes.publish(like(1), like(2), like(1, liked=False), like(3, tweet=1))
        follows.publish(follow(1, 2, 1), followed(1, 2, 1), followed(3, 2, 1))
        tweets.publish(tweeted(0, 1), tweeted(1, 1, deleted=True), tweeted(1, 1))
        for world in (likes, follows, tweets):
            await counted(world)
            await world.all_is_right()
        assert await likes.counts() == {LIKED: 1, Subject(TWEETS[1], Kind.LIKES): 1}
        assert await follows.counts() == {Subject(USERS[1], Kind.FOLLOWING): 1, Subject(USERS[2], Kind.FOLLOWERS): 2}
        assert await tweets.counts() == {Subject(USERS[1], Kind.TWEETS): 1}

    run(main())


@pytest.mark.parametrize("point", POINTS)
def test_an_owner_that_dies_at_any_point_of_its_cycle_is_followed_by_one_that_counts_right(point: str) -> None:
    """P52, P56: nothing is counted twice, nothing is lost, and the cache learns of it."""

    async def main() -> None:
        world = World(LIKES)
        world.publish(*(like(user, liked=user != 2) for user in (1, 2, 3, 2)))
        await counted(world)
        world.publish(like(4), like(2))
        dying = Owner(world, gated=False)
        dying.faults.point = point
        await dying.take()
        await asyncio.sleep(0.1)
        assert dying.faults.passed[-1] == point
        await dying.die()
        await world.check()
        await counted(world)
        await world.all_is_right()
        assert (await world.counts())[LIKED] == 4

    run(main())


def test_small_slices_behind_a_count_that_another_owner_stored_are_in_it_already() -> None:
    async def main() -> None:
        world = World(LIKES)
        world.publish(*(like(user) for user in (1, 2, 3, 4)))
        dying = Owner(world, gated=False)
        dying.faults.point = POINTS[0]
        await dying.take()
        await asyncio.sleep(0.1)
        await dying.die()
        await world.check()
        slow = Owner(world, gated=False)
        for _ in world.items:
            await slow.take(1)
            await slow.rounds.drain()
            await world.check()
        await world.all_is_right()

    run(main())


def test_rows_of_a_higher_level_are_still_known_when_the_count_has_fallen() -> None:
    async def main() -> None:
        world = World(LIKES)
        world.publish(*(like(user) for user in range(5)), *(like(user, liked=False) for user in range(5)))
        world.publish(like(4))
        owner = Owner(world, gated=False)
        for _ in world.items:
            await owner.take(1)
            await owner.rounds.drain()
            await world.check()
        await world.all_is_right()

    run(main())


def test_a_hot_tweet_costs_one_count_write_a_second() -> None:
    """P54: 1,000 likes a second for five seconds; writes are counted, not time."""

    async def main() -> None:
        world, writes = World(LIKES), []
        owner, put = Owner(world, gated=False), world.store.put_counts

        async def noted(counts: Any, *rest: Any) -> None:
            writes.append(asyncio.get_running_loop().time())
            await put(counts, *rest)

        store: Any = world.store
        store.put_counts = noted
        for number in range(500):
            world.publish(*(like((number + n) % 5, liked=bool((number + n) % 3)) for n in range(10)))
            await owner.take()
            await asyncio.sleep(0.01)
        await owner.rounds.drain()
        await world.all_is_right()
        assert len(world.bus.heard) == len(writes) == 6
        assert all(round(later - sooner, 6) >= 1 for sooner, later in itertools.pairwise(writes))

    run(main())


def test_the_first_change_after_a_quiet_second_is_counted_soon() -> None:
    async def main() -> None:
        world = World(LIKES)
        owner = Owner(world, gated=False)
        for user in range(3):
            world.publish(like(user))
            await owner.take()
            await asyncio.sleep(0.1)
            assert (await world.counts())[LIKED] == user + 1
            await asyncio.sleep(1)

    run(main())


def test_reading_stops_while_too_much_is_uncounted_and_goes_on_when_it_is() -> None:
    async def main() -> None:
        world = World(LIKES)
        owner = Owner(world, gated=True)
        owner.gate.open = True
        await owner.machine.load(PARTITION)
        owner.gate.open = False
        items = [Item(like(n % 5, liked=bool(n % 2)), n, n) for n in range(1, MUCH + 502)]
        await owner.machine.handle(Slice(PARTITION, 1, items[:MUCH], MUCH, False))
        more = asyncio.create_task(owner.machine.handle(Slice(PARTITION, 1, items[MUCH:], MUCH + 501, False)))
        await asyncio.sleep(5)
        assert not more.done()
        owner.gate.let_all()
        await more
        await owner.rounds.drain()
        world.items = items
        await world.all_is_right()

    run(main())


def test_redis_away_holds_up_nothing_and_is_told_all_once_it_is_back() -> None:
    """P56."""

    async def main() -> None:
        world = World(LIKES)
        world.cache.away = True
        owner = Owner(world, gated=False)
        for user in range(4):
            world.publish(like(user, tweet=user % 2))
            await counted(world, owner)
        assert {s: len(m) for s, m in world.truth(4).items()} == await world.counts()
        assert owner.teller.owed == 2
        world.cache.away = False
        await asyncio.sleep(2.2)
        await world.all_is_right()
        assert owner.teller.owed == 0

    run(main())


def test_what_a_process_owed_to_redis_when_it_died_its_successor_tells() -> None:
    async def main() -> None:
        world = World(LIKES)
        world.publish(like(1), like(2))
        await counted(world)
        world.cache.away = True
        world.publish(like(3))
        owing = Owner(world, gated=False)
        await counted(world, owing)
        await asyncio.sleep(5)
        assert (await world.counts())[LIKED] == 3
        await owing.die()
        world.cache.away = False
        await counted(world)
        await world.all_is_right()

    run(main())


def test_a_store_that_is_away_is_waited_for_and_nothing_is_lost() -> None:
    async def main() -> None:
        world = World(LIKES)
        owner = Owner(world, gated=True)
        world.publish(like(1), like(2))
        task = asyncio.create_task(owner.take())
        for _ in range(12):
            await asyncio.sleep(2.1)
            owner.gate.let(0, "refuse")
            if task.done() and task.exception():
                task = asyncio.create_task(owner.take())
        owner.gate.let_all()
        await asyncio.gather(task, return_exceptions=True)
        await counted(world, owner)
        await world.all_is_right()

    run(main())


def test_likes_whose_request_did_not_come_to_the_rows_are_listed_by_the_owner() -> None:
    async def main() -> None:
        world = World(LIKES)
        world.publish(like(1), like(2), like(2, liked=False), like(3))
        await world.requested(world.items[0])
        await counted(world)
        await world.all_is_right()
        assert (await world.store.mark(USERS[3], MarkKind.LIKE, TWEETS[0])).delta == 1

    run(main())


def test_a_request_that_broke_off_between_mark_and_row_is_finished_by_the_owner() -> None:
    async def main() -> None:
        world = World(LIKES)
        world.publish(like(1))
        state = like_state(world.items[0].event, world.items[0].at)
        world.store._set(USERS[1], MarkKind.LIKE, TWEETS[0], state.mark(UNMARKED, 1))
        await counted(world)
        await world.all_is_right()
        assert (await world.rows_of(LIKED))[USERS[1]].at == 1

    run(main())


def test_reading_the_log_again_writes_neither_counts_nor_rows() -> None:
    async def main() -> None:
        world, names = World(LIKES), set[str]()
        world.publish(like(1), like(2), like(2, liked=False))
        await counted(world)
        again = Owner(world, gated=True)
        again.at = 0
        task = asyncio.create_task(again.take())
        await asyncio.sleep(1)
        while again.gate.waiting:
            names |= {name for name, _ in again.gate.waiting}
            again.gate.let(0)
            await asyncio.sleep(1)
        await task
        assert names == {"counts", "rows", "put_positions"}

    run(main())


def test_a_replayed_dead_letter_changes_nothing_that_is_later() -> None:
    async def main() -> None:
        world = World(LIKES)
        world.publish(like(1), like(1, liked=False))
        await counted(world)
        world.replay(0)
        await counted(world)
        await world.all_is_right()
        assert (await world.counts())[LIKED] == 0

    run(main())


def test_what_is_no_id_is_poison_and_the_rest_of_the_slice_is_not_queued() -> None:
    async def main() -> None:
        world = World(LIKES)
        owner = Owner(world, gated=False)
        bad = like(1)
        bad.user_id = b"short"
        world.publish(like(2), bad)
        with pytest.raises(Poison):
            await owner.take()
        assert await world.store.counts([LIKED]) == {}

    run(main())


def test_a_lost_part_of_the_log_is_recounted() -> None:
    async def main() -> None:
        world = World(LIKES)
        owner = Owner(world, gated=False)
        world.publish(like(1))
        await owner.take(lost=True)
        await owner.rounds.drain()
        assert owner.recounts == [(PARTITION, None)]

    run(main())


def test_a_count_that_contradicts_its_rows_is_never_negative_and_is_recounted() -> None:
    async def main() -> None:
        world = World(LIKES)
        world.publish(like(1))
        await counted(world)
        await world.store.put_counts({LIKED: Count(0, 1, 0)}, repaired=True)
        world.publish(like(1, liked=False))
        owner = Owner(world, gated=False)
        await counted(world, owner)
        assert (await world.counts())[LIKED] == 0
        assert owner.recounts == [(PARTITION, [LIKED])]

    run(main())
