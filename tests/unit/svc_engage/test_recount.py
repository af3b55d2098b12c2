"""What is wrong in the store, whoever made it wrong, is found, told and repaired; what is merely on its way is left alone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aviary.engage.v1.events_pb2 import LikeSet
from aviary.graph.v1.graph_pb2 import (
    FollowerShard,
    GetFollowerPageRequest,
    GetFollowerPageResponse,
    GetFollowerShardsRequest,
    GetFollowerShardsResponse,
)

from svc_engage import metrics
from svc_engage.counting import looks
from svc_engage.counting.changes import LOGS, Log, partition_of
from svc_engage.counting.known import KnownRows
from svc_engage.counting.looks import Look, Overtaken, look
from svc_engage.counting.memory import Memory
from svc_engage.counting.recount import Recounts
from svc_engage.counting.truth import MeshTruth
from svc_engage.domain.levels import SHARDS, last_shard, shard_of
from svc_engage.domain.relations import Count, Kind, Row, Subject
from svc_engage.ledger import LEAST_TOKEN, RESTS, Walked
from svc_engage.store import Counted
from svc_engage.store_memory import MemoryEngageStore
from tests.unit.svc_engage.counting_world import (
    LEVELS,
    PARTITION,
    TWEETS,
    USERS,
    Clock,
    Owner,
    World,
    counted,
    followed,
    like,
    run,
)

LIKES, FOLLOWS, _ = LOGS
LIKED, FOLLOWERS = Subject(TWEETS[0], Kind.LIKES), Subject(USERS[0], Kind.FOLLOWERS)


class MemoryLedger:
    """Walks the store in memory."""

    def __init__(self, store: MemoryEngageStore) -> None:
        self._store = store

    async def walk(self, after: int, limit: int) -> Walked:
        return Walked(self._store._counts, None if after > LEAST_TOKEN else 0)

    async def walk_rows(self, after: int, limit: int) -> tuple[list[Subject], int | None]:
        return list(self._store._rows), None

    async def page(self, subject: Subject, shard: int, after: bytes, limit: int) -> list[tuple[bytes, Row]]:
        level = next(level for level in range(len(SHARDS)) if shard <= last_shard(level))
        members = sorted(self._store._rows[subject].items())
        found = [(m, rows[level]) for m, rows in members if level in rows and shard_of(level, m) == shard and m > after]
        return found[:limit]


class Told:
    """What is true, as a test says."""

    def __init__(self) -> None:
        self.followers: set[bytes] | None = None

    def members(self, subject: Subject) -> AsyncIterator[bytes] | None:
        return None if self.followers is None else self._ascending(self.followers)

    async def _ascending(self, members: set[bytes]) -> AsyncIterator[bytes]:
        for member in sorted(members):
            yield member


class Ticking(Clock):
    """Goes with the loop."""

    def now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


class Bench:
    """A world of which all is counted, and the recounting of its owner."""

    def __init__(self, log: Log) -> None:
        self.world, self.truth, self.lag_ms = World(log), Told(), 0
        self.owner = Owner(self.world, gated=False)
        ledger: Any = MemoryLedger(self.world.store)
        self.recounts = Recounts(
            [self.owner.machine],
            self.world.store,
            ledger,
            self.truth,
            self.owner.teller,
            Ticking(),
            self._lag,
            levels=LEVELS,
        )
        # The subjects of these tests lie in other partitions than the one that is counted.
        recounts: Any = self.recounts
        recounts._memory = lambda _subject: self.owner.machine.memory(PARTITION)

    async def _lag(self, _durable: str) -> int:
        return self.lag_ms

    def drift(self) -> float:
        """All that was ever found."""
        return sum(s.value for m in metrics.DRIFT.collect() for s in m.samples if s.name.endswith("_total"))


async def liked() -> Bench:
    bench = Bench(LIKES)
    bench.world.publish(*(like(user) for user in range(5)), like(4, liked=False))
    await counted(bench.world, bench.owner)
    return bench


def counts_while_read(bench: Bench, events: Iterator[LikeSet]) -> None:
    """Let one of the events be counted before each page of rows."""
    ledger: Any = bench.recounts._ledger
    page = ledger.page

    async def slow(*query: Any) -> Any:
        if (event := next(events, None)) is not None:
            bench.world.publish(event)
            await counted(bench.world, bench.owner)
        return await page(*query)

    ledger.page = slow


def test_what_is_right_is_left_alone() -> None:
    async def main() -> None:
        bench = await liked()
        before = bench.drift()
        await bench.recounts.walk()
        assert not await bench.recounts.recount(LIKED)
        assert bench.drift() == before

    run(main())


def test_an_owner_that_repaired_a_row_counts_on_from_what_is_right() -> None:
    """It knows the row as it counted it, which is what was wrong."""

    async def main() -> None:
        bench = Bench(FOLLOWS)
        bench.world.publish(followed(1, 0, 2))
        await counted(bench.world, bench.owner)
        # An event that says so was lost.
        bench.truth.followers = set()
        await bench.recounts.walk()
        assert (await bench.world.counts())[FOLLOWERS] == 0
        bench.world.publish(followed(1, 0, 5))
        await counted(bench.world, bench.owner)
        assert (await bench.world.counts())[FOLLOWERS] == 1

    run(main())


@pytest.mark.parametrize("false", [0, 3, 5, 1000])
def test_a_count_that_was_falsified_is_repaired_and_tells_the_cache(false: int) -> None:
    """P56."""

    async def main() -> None:
        bench = await liked()
        before, as_of = bench.drift(), bench.owner.at
        await bench.world.store.put_counts({LIKED: Count(false, as_of, 2)}, repaired=True)
        await bench.recounts.walk()
        await bench.world.all_is_right()
        assert bench.drift() == before + 1
        bench.world.publish(like(4))
        await counted(bench.world, bench.owner)
        await bench.world.all_is_right()

    run(main())


@pytest.mark.parametrize("user", [1, 4])
def test_a_row_that_was_falsified_is_repaired_with_its_count(user: int) -> None:
    """P56."""

    async def main() -> None:
        bench = await liked()
        row = (await bench.world.rows_of(LIKED))[USERS[user]]
        wrong = Row(not row.counted, row.version, row.counted_at)
        rows = [Counted(LIKED, USERS[user], level, wrong) for level in range(3)]
        await bench.world.store.put_counted(rows, repaired=True)
        found = await bench.recounts.recount(LIKED)
        assert found is not None
        assert found.wrong.keys() == {USERS[user]}
        await bench.world.all_is_right()

    run(main())


def test_members_that_were_lost_or_never_announced_are_counted_after_the_truth() -> None:
    async def main() -> None:
        bench = Bench(FOLLOWS)
        bench.world.publish(followed(1, 0, 1), followed(2, 0, 1), followed(3, 0, 1))
        await counted(bench.world, bench.owner)
        bench.truth.followers = {USERS[1], USERS[2], USERS[4]}
        await bench.recounts.recount(FOLLOWERS)
        assert (await bench.world.counts())[FOLLOWERS] == 3
        # The announcement comes after all, and changes nothing any more.
        bench.world.publish(followed(4, 0, 1), followed(3, 0, 2, following=False), followed(2, 0, 2, following=False))
        await counted(bench.world, bench.owner)
        assert (await bench.world.counts())[FOLLOWERS] == 2
        assert await bench.world.rows() == {FOLLOWERS: {USERS[1], USERS[4]}}

    run(main())


def test_what_is_on_its_way_is_no_drift() -> None:
    """Until all is counted that was announced at the first look, nothing is said."""

    async def main() -> None:
        bench = Bench(FOLLOWS)
        bench.world.publish(followed(1, 0, 1))
        await counted(bench.world, bench.owner)
        bench.truth.followers, bench.lag_ms = {USERS[1], USERS[2]}, 10_000_000
        before = bench.drift()
        assert await bench.recounts.recount(FOLLOWERS) is None
        bench.world.publish(followed(2, 0, 1))
        bench.lag_ms = 0
        looking = asyncio.create_task(bench.recounts.recount(FOLLOWERS))
        await asyncio.sleep(5)
        await counted(bench.world, bench.owner)
        assert not await looking
        assert bench.drift() == before

    run(main())


def test_counting_goes_on_during_a_look_and_does_not_show_in_it() -> None:
    async def main() -> None:
        bench = await liked()
        ledger: Any = bench.recounts._ledger
        events = iter([like(0, liked=False), like(1, liked=False), like(4), like(1), like(2, liked=False)])
        counts_while_read(bench, events)
        memory = bench.owner.machine.memory(PARTITION)
        assert memory is not None
        assert not await look(LIKED, memory, bench.world.store, ledger, bench.truth)
        assert next(events, None) is None
        assert (await bench.world.counts())[LIKED] == 3
        assert memory.watched == {}

    run(main())


def test_a_subject_of_which_more_changes_during_a_look_than_is_remembered_is_left_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look at a million rows takes minutes, and what changes meanwhile is held in memory."""

    async def main() -> None:
        bench = await liked()
        ledger: Any = bench.recounts._ledger
        counts_while_read(bench, iter([like(0, liked=False), like(1, liked=False), like(2, liked=False)]))
        memory = bench.owner.machine.memory(PARTITION)
        assert memory is not None
        with pytest.raises(Overtaken):
            await look(LIKED, memory, bench.world.store, ledger, bench.truth)
        assert memory.watched == {}
        # Now nothing changes.
        assert not await look(LIKED, memory, bench.world.store, ledger, bench.truth)

    monkeypatch.setattr(looks, "_CHANGED_MOST", 2)
    run(main())


def test_a_recount_of_a_large_subject_rests_between_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """P54: its rows are hundreds of thousands; read without a rest they are half of what a process does."""

    async def main() -> None:
        bench = Bench(FOLLOWS)
        members = [number.to_bytes(16) for number in range(1, 8)]
        await bench.world.store.put_counted([Counted(FOLLOWERS, one, 0, Row(True, 1, 1)) for one in members])
        await bench.world.store.put_counts({FOLLOWERS: Count(7, 1, 0)})
        bench.truth.followers = set(members)
        paced: Any = bench.recounts._ledger
        page = paced._ledger.page

        async def slow(*query: Any) -> Any:
            await asyncio.sleep(0.02)
            return await page(*query)

        paced._ledger.page = slow
        began = asyncio.get_running_loop().time()
        memory = Memory(FOLLOWS, PARTITION, 1, lambda subjects: None, KnownRows())
        assert not await look(FOLLOWERS, memory, bench.world.store, paced, bench.truth)
        # Three pages, and nobody waits for anything behind the last.
        assert round(asyncio.get_running_loop().time() - began, 6) == round(3 * 0.02 + 2 * RESTS * 0.02, 6)

    monkeypatch.setattr(looks, "_PAGE", 3)
    run(main())


def test_what_another_owner_counts_meanwhile_is_not_judged() -> None:
    async def main() -> None:
        bench = await liked()
        bench.world.publish(like(4))
        await counted(bench.world)
        assert await bench.recounts.recount(LIKED) is None

    run(main())


def test_likes_that_the_log_lost_are_counted_also_of_a_tweet_that_never_was() -> None:
    """The requests were acknowledged: their rows are there, and no event and no count ever will be."""

    async def main() -> None:
        bench = Bench(LIKES)
        other = TWEETS[1]
        bench.world.publish(like(1), like(2), like(3, liked=False), like(1, tweet=1))
        for item in bench.world.items[:3]:
            item.event.level = 0
            await bench.world.requested(item)
        bench.world.items[:3] = []
        await counted(bench.world, bench.owner)
        assert await bench.world.store.counts([LIKED]) == {}
        bench.recounts._ask(bench.owner.machine, partition_of(LIKED), None)
        await bench.recounts._urgent()
        counts = await bench.world.store.counts([LIKED, Subject(other, Kind.LIKES)])
        assert {subject.subject_id: count.count for subject, count in counts.items()} == {LIKED.subject_id: 2, other: 1}
        assert await bench.recounts.recount(LIKED) == Look(0, {})

    run(main())


def test_a_lost_part_of_a_log_leads_to_a_recount_of_its_partition() -> None:
    async def main() -> None:
        bench = await liked()
        bench.truth.followers = None
        await bench.world.store.put_counts({LIKED: Count(77, bench.owner.at, 2)}, repaired=True)
        bench.recounts._ask(bench.owner.machine, PARTITION, [LIKED])
        await bench.recounts._urgent()
        await bench.world.all_is_right()

    run(main())


class ManyFollowers:
    """svc_graph with an account that many follow, in several partitions; some followers are in two."""

    def __init__(self, followers: list[bytes]) -> None:
        self.lists = [sorted(followers[number::3] + followers[:5]) for number in range(3)]
        self.given = 0

    async def GetFollowerShards(self, request: GetFollowerShardsRequest) -> GetFollowerShardsResponse:
        return GetFollowerShardsResponse(shards=[FollowerShard(level=1, bucket=n) for n in range(3)])

    async def GetFollowerPage(self, request: GetFollowerPageRequest) -> GetFollowerPageResponse:
        behind = [one for one in self.lists[request.shard.bucket] if one > request.after]
        page = behind[: request.limit]
        self.given += len(page)
        return GetFollowerPageResponse(follower_ids=b"".join(page), has_more=len(behind) > len(page))


@pytest.mark.parametrize("level", [0, 1])
def test_of_many_followers_a_few_pages_are_held_at_a_time(level: int) -> None:
    """The most followed accounts have millions: as a set they take as many times 100 bytes."""

    async def main() -> None:
        bench = Bench(FOLLOWS)
        followers = [number.to_bytes(16) for number in range(2000, 4000)]
        graph: Any = ManyFollowers(followers)
        uncounted, gone = followers[7], (1).to_bytes(16)
        rows = [
            Counted(FOLLOWERS, one, which, Row(True, 1, 1))
            for one in [gone, *followers]
            if one != uncounted
            for which in range(level + 1)
        ]
        await bench.world.store.put_counted(rows)
        await bench.world.store.put_counts({FOLLOWERS: Count(2000, 1, level)})
        ledger: Any = bench.recounts._ledger
        page, judged, ahead = ledger.page, 0, []

        async def noted(*query: Any) -> Any:
            nonlocal judged
            ahead.append(graph.given - judged)
            found = await page(*query)
            judged += len(found)
            return found

        ledger.page = noted
        truth: Any = MeshTruth(graph, graph, held=300)
        memory = Memory(FOLLOWS, PARTITION, 1, lambda subjects: None, KnownRows())
        found = await look(FOLLOWERS, memory, bench.world.store, ledger, truth)
        assert {member: true for member, (_, true) in found.wrong.items()} == {gone: False, uncounted: True}
        assert found.surplus == 0
        assert max(ahead) <= 300

    run(main())
