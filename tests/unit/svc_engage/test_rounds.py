"""How much a process does at once when it counts: one batch for all partitions, in slices, and nobody waits for a partition that fails."""

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ordered import Item, Slice
from runtime.errors import Unavailable
from runtime.faults import NO_FAULTS
from svc_engage.cache import Glance, Marks
from svc_engage.counting import Machine, Rounds, Teller, flush
from svc_engage.counting.changes import LOGS
from svc_engage.counting.flush import CHANGES_A_SLICE, LISTS_A_SLICE, LISTS_EVERY_S, ROWS_A_SLICE
from svc_engage.counting.known import KnownRows
from svc_engage.counting.sums import Summing
from svc_engage.domain.levels import Levels
from svc_engage.domain.relations import Change, Kind, Subject
from svc_engage.like_rows import LikeRows
from svc_engage.likes import set_like
from svc_engage.reads import Reads
from svc_engage.store_cql import CqlEngageStore
from svc_engage.store_memory import MemoryEngageStore
from tests.unit.svc_engage.counting_world import MS, USERS, Cache, Clock, NoBus, like, run

LIKES = LOGS[0]
TWEET = (MS << 80).to_bytes(16)


class Noting:
    """Counts the calls of something."""

    def __init__(self, there: Any) -> None:
        self.calls = Counter[str]()
        self._there = there

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._there, name)

        async def noted(*args: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return await method(*args, **named)

        return noted


class Process:
    """Everything that counts likes, beside a store in memory."""

    def __init__(self, store: Any = None) -> None:
        self.memory = MemoryEngageStore()
        self.store, self.cache = Noting(store or self.memory), Noting(Cache())
        teller = Teller(cast(Any, self.cache), cast(Any, NoBus()))
        self.rounds = Rounds(cast(Any, self.store), teller, Clock(), Levels())
        self.machine = Machine(LIKES, cast(Any, self.store), self.rounds)

    async def take(self, partition: int, users: Iterable[int]) -> None:
        """Likes of a tweet of that partition; no request wrote anything of them."""
        items = [Item(liked(partition, user), user + 1, user + 1) for user in users]
        await self.machine.handle(Slice(partition, 1, items, items[-1].place, False))


def tweet(partition: int) -> bytes:
    return partition.to_bytes(16)


def liked(partition: int, user: int) -> Any:
    event = like(0)
    event.tweet_id, event.user_id = tweet(partition), user.to_bytes(16)
    return event


@pytest.mark.parametrize("partitions", [1, 20])
def test_all_partitions_that_are_due_are_one_batch(partitions: int) -> None:
    async def main() -> None:
        process = Process()
        for partition in range(partitions):
            await process.take(partition, [0])
        await process.rounds.drain()
        assert process.store.calls == Counter(
            {"counts": 1, "rows": 1, "put_counts": 1, "put_counted": 1, "put_positions": 1}
            | dict.fromkeys(("list_likes", "state_likes"), math.ceil(partitions / LISTS_A_SLICE))
        )
        assert process.cache.calls["put"] == 1
        counts = await process.memory.counts([Subject(tweet(one), Kind.LIKES) for one in range(partitions)])
        assert [count.count for count in counts.values()] == [1] * partitions

    run(main())


def test_a_partition_that_cannot_be_stored_holds_up_no_other() -> None:
    class Stuck(MemoryEngageStore):
        stuck = True

        async def put_counts(self, counts: Any, repaired: bool = False) -> None:
            if self.stuck and Subject(tweet(3), Kind.LIKES) in counts:
                raise Unavailable("no quorum for this one")
            await super().put_counts(counts, repaired)

    async def main() -> None:
        store = Stuck()
        process = Process(store)
        for turn in range(5):
            for partition in range(10):
                await process.take(partition, [turn])
            await asyncio.sleep(1.5)
        position = [await store.position(LIKES.durable, partition) for partition in range(10)]
        assert position == [5] * 3 + [0] + [5] * 6
        store.stuck = False
        await process.rounds.drain()
        assert await store.position(LIKES.durable, 3) == 5

    run(main())


def test_the_loop_is_never_held_for_longer_than_one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """P54: one hot tweet, of whose likes the owner writes everything. What is done in a turn of the loop is counted, not time."""
    done: list[tuple[int, str, int]] = []
    turn = 0
    add, others = Summing.add, list[asyncio.Task[None]]()

    async def turning() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def noted(summing: Summing, changes: Iterable[Change]) -> None:
        # From here on: while anything is to be done at once, virtual time stands still.
        others.extend([] if others else [asyncio.create_task(turning())])
        some = list(changes)
        done.append((turn, "sum", len(some)))
        add(summing, some)

    class Counting(MemoryEngageStore):
        async def list_likes(self, likes: Any) -> None:
            done.append((turn, "lists", len(likes)))
            await super().list_likes(likes)

        async def put_counted(self, rows: Any, repaired: bool = False) -> None:
            done.append((turn, "rows", len(rows)))
            await super().put_counted(rows, repaired)

    async def main() -> None:
        process = Process(Counting())
        await process.take(0, range(2_000))
        await process.take(1, range(300))
        await process.rounds.drain()
        others[0].cancel()

    monkeypatch.setattr(Summing, "add", noted)
    monkeypatch.setattr(flush, "LISTS_EVERY_S", 0)
    run(main())
    sums, most = Counter[int](), {"lists": LISTS_A_SLICE, "rows": ROWS_A_SLICE}
    for at, what, many in done:
        if what == "sum":
            sums[at] += many
        else:
            assert many <= most[what]
    assert sum(sums.values()) == 2_300
    assert max(sums.values()) <= CHANGES_A_SLICE
    writes = Counter(at for at, what, _ in done if what != "sum")
    assert max(writes.values()) == 1


@pytest.mark.parametrize("takes_s", [0, 1])
def test_lists_that_nobody_waits_for_are_written_a_few_at_a_time(takes_s: float) -> None:
    """P54: behind a hot tweet, others' requests come in between, however fast or slow the store is."""
    begun, open_ = list[float](), 0

    class Slow(MemoryEngageStore):
        async def list_likes(self, likes: Any) -> None:
            nonlocal open_
            begun.append(asyncio.get_running_loop().time())
            open_ += 1
            await asyncio.sleep(takes_s)
            assert open_ == 1
            open_ -= 1
            await super().list_likes(likes)

    async def main() -> None:
        process = Process(Slow())
        await process.take(0, range(20 * LISTS_A_SLICE))
        await process.rounds.drain()
        assert len(begun) == 20
        assert all(round(later - sooner, 6) >= LISTS_EVERY_S for sooner, later in itertools.pairwise(begun))

    run(main())


def test_lists_that_cannot_be_written_end_the_batch_and_come_again() -> None:
    class Refusing(MemoryEngageStore):
        refused = 0

        async def list_likes(self, likes: Any) -> None:
            if self.refused < 5:
                self.refused += 1
                await asyncio.sleep(0.1 * self.refused)
                raise Unavailable("no quorum")
            await super().list_likes(likes)

    async def main() -> None:
        process = Process(store := Refusing())
        await process.take(0, range(5 * LISTS_A_SLICE))
        await asyncio.sleep(0.2)
        assert await store.position(LIKES.durable, 0) == 0
        await process.rounds.drain()
        assert len(await store.list_likers(tweet(0), 1, None, 200)) == 5 * LISTS_A_SLICE
        assert await store.position(LIKES.durable, 0) == 5 * LISTS_A_SLICE

    run(main())


class SlowCql:
    """A database that takes a second for anything, so that the seconds of a request are its steps one after another."""

    def __init__(self) -> None:
        self.asked = Counter[str]()

    def prepare(self, query: str) -> str:
        return query

    async def execute(self, query: str, _values: Any) -> list[Any]:
        self.asked[query.split(maxsplit=1)[0]] += 1
        await asyncio.sleep(1)
        return []

    async def write_all(self, _writes: Any) -> None:
        self.asked["batch"] += 1
        await asyncio.sleep(1)


class Everything(Cache):
    """All that a like needs beside the store, at once."""

    known = Marks()

    def __init__(self) -> None:
        super().__init__()
        self.places = itertools.count(2)

    async def look(self, *_: Any) -> Glance:
        return Glance([(7, 1, 0, 1, 0, 1, 0, 1)], self.known)

    def start(self, _user_id: bytes) -> None:
        """Builds nothing of what is remembered of the user's marks."""

    async def record(self, *_: Any) -> bool:
        return True

    async def set_mark(self, *_: Any) -> None:
        """Remembers nothing."""

    async def author_of(self, _tweet_id: bytes) -> bytes:
        return USERS[4]

    async def publish(self, _event: Any) -> list[int]:
        return [next(self.places)]


def liking() -> tuple[Any, SlowCql]:
    """All that a like needs, over a database that takes a second."""
    cql, clock, cache = SlowCql(), Clock(), Everything()
    store = CqlEngageStore(cast(Any, cql), clock)
    deps: Any = SimpleNamespace(store=store, cache=cache, known=KnownRows())
    deps.rows = LikeRows(store, cast(Any, cache), cast(Any, cache), deps.known, NO_FAULTS)
    deps.reads = Reads(store, cast(Any, cache), cast(Any, cache), deps.rows)
    deps.clock, deps.faults, deps.tweets, deps.recent, deps.bus = clock, NO_FAULTS, cache, cache, cache
    deps.ids = SimpleNamespace(next=lambda: SimpleNamespace(bytes=bytes(16)))
    return deps, cql


@pytest.mark.parametrize(("marks", "steps", "reads"), [(Marks(), 3, 2), (Marks(floor=bytes(16)), 3, 1)])
def test_a_like_asks_the_store_in_three_steps(marks: Marks, steps: int, reads: int) -> None:
    """What is stored is read, then rows and lists are written, then the row of `edges`, which says that all of it is there.

    That a like is the first of the pair is not read where it is remembered.
    """

    async def main() -> None:
        deps, cql = liking()
        deps.cache.known = marks
        began = asyncio.get_running_loop().time()
        assert await set_like(TWEET, USERS[0], True, deps) == 8
        assert asyncio.get_running_loop().time() - began == steps - 2, "the answer waits for what is read alone"
        await deps.rows.close()
        assert asyncio.get_running_loop().time() - began == steps
        assert cql.asked == Counter({"SELECT": reads, "batch": 2})

    run(main())


def test_likes_at_the_same_moment_are_written_together() -> None:
    """One goes as it comes; what comes while it is written is written behind it, in one batch of lists and one of rows.

    How far the rows of the tweet are split is read once for all of them.
    """

    async def main() -> None:
        deps, cql = liking()
        deps.cache.known = Marks(floor=bytes(16))
        assert await asyncio.gather(*(set_like(TWEET, user, True, deps) for user in USERS[:4] * 5)) == [8] * 20
        await deps.rows.close()
        assert cql.asked == Counter({"SELECT": 1, "batch": 2 * 2})

    run(main())


def test_a_partition_that_is_given_up_before_its_round_comes_to_it_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P8: its queue is emptied then, and the position behind what was in it is that of changes which nobody counts."""

    async def main() -> None:
        process = Process()
        begun = process.rounds._round

        async def waited(memories: Any) -> None:
            # As for the turn of another partition, which a recount holds.
            monkeypatch.undo()
            assert await process.machine.load(0) == 0
            await begun(memories)

        monkeypatch.setattr(process.rounds, "_round", waited)
        for partition in range(2):
            await process.take(partition, [0])
        await process.rounds.drain()
        assert await process.memory.positions(LIKES.durable) == {1: 1}
        await process.take(0, [0])
        await process.rounds.drain()
        assert (await process.memory.counts([Subject(tweet(0), Kind.LIKES)]))[Subject(tweet(0), Kind.LIKES)].count == 1

    run(main())
