"""Kept pages of followers on the real server: whoever changes a partition, from whichever process, is in the next page of every other."""

import asyncio
import dataclasses
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest

from cql_client import Cql
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from runtime.ids import split_ids
from svc_graph.domain import Pair, Shard, changed_together
from svc_graph.followers_cql import touched
from svc_graph.levels import Crowd, shard_of
from svc_graph.metrics import PAGES
from svc_graph.mirrors_cql import CqlMirrors
from svc_graph.repair import Repair
from svc_graph.stamps_cql import CqlStamps
from svc_graph.store import SCHEMA
from tests.integration.graph_mesh import until
from tests.integration.test_graph_growth import CLOCK, IDS, One, at_level


@pytest.fixture(scope="module")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="graph_pages"), SCHEMA)
    yield opened
    await opened.close()


def served(outcome: str) -> float:
    """How many pages were served so, by all."""
    return float(PAGES.labels(outcome)._value.get())


async def kept(reader: One, followee: uuid.UUID, shard: Shard) -> list[bytes]:
    """All pages of a partition, two ids each, each page as of now."""
    return await walked([reader], followee, shard, goes_on=False)


async def walked(readers: Sequence[One], followee: uuid.UUID, shard: Shard, *, goes_on: bool = True) -> list[bytes]:
    """The same as fan-out gets them: each page from another process, in the state that the one before named."""
    found: list[bytes] = []
    after, as_of = None, b""
    for reader in itertools.cycle(readers):
        page = await reader.store.packed_page(followee, shard, after, 2, as_of)
        found += split_ids(page.follower_ids)
        if not page.has_more:
            break
        after, as_of = uuid.UUID(bytes=found[-1]), page.as_of if goes_on else b""
    return found


async def rests(one: One, crowd: Crowd) -> None:
    """Until the ends of all changes are stamped."""

    async def at_rest() -> bool:
        return await one.store.stamps.of(crowd) is not None

    await until(at_rest)


async def celebrity(*processes: One) -> uuid.UUID:
    """An account of level 1, known as such to all."""
    followee = IDS.next()
    for process in processes:
        await at_level(process, followee, 1)
    return followee


async def test_a_page_is_kept_while_nothing_changes_and_read_after_each_change_of_any_process(cql: Cql) -> None:
    """P14: whoever follows is in every page that is asked for afterwards; ADR 1."""
    first, second, reader = One(cql), One(cql), One(cql)
    followee, dice = await celebrity(first, second, reader), random.Random(7)
    people = [IDS.next() for _ in range(400)]
    people = [one for one in people if shard_of(one, 1) == shard_of(people[0], 1)]
    shard = shard_of(people[0], 1)
    following: set[uuid.UUID] = set()
    for _ in range(40):
        person, process = dice.choice(people), dice.choice((first, second))
        await process.set(person, followee, person not in following)
        following ^= {person}
        expected = [one.bytes for one in sorted(following)]
        assert await kept(reader, followee, shard) == expected
        assert await kept(second, followee, shard) == expected
        assert await walked([reader, first, second], followee, shard) == expected
    await rests(reader, Crowd(followee, shard))
    await kept(reader, followee, shard)
    before = served("kept"), served("read"), served("changing")
    assert await kept(reader, followee, shard) == expected
    assert served("kept") > before[0]
    assert (served("read"), served("changing")) == before[1:]


async def test_a_walk_through_kept_pages_looks_once_and_has_whoever_followed_before_it(
    cql: Cql, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = One(cql), One(cql)
    followee = await celebrity(reader, writer)
    people = [one for one in (IDS.next() for _ in range(600)) if shard_of(one, 1).bucket == 9]
    crowd, looks = Crowd(followee, Shard(1, 9)), []
    of = reader.store.stamps.of

    async def looked(asked: Crowd) -> bytes | None:
        looks.append(asked)
        return await of(asked)

    monkeypatch.setattr(reader.store.stamps, "of", looked)
    for number, person in enumerate(people):
        await writer.set(person, followee, True)
        await rests(writer, crowd)
        for _ in range(2):
            looks.clear()
            assert await walked([reader], followee, crowd.shard) == sorted(one.bytes for one in people[: number + 1])
        assert looks == [crowd]


async def test_two_partitions_in_which_nothing_happened_have_two_stamps(cql: Cql) -> None:
    """What a walk of one was told serves no page of the other."""
    one, other = IDS.next(), IDS.next()
    crowds = [Crowd(one, Shard(1, 0)), Crowd(one, Shard(2, 0)), Crowd(one, Shard(1, 1)), Crowd(other, Shard(1, 0))]
    assert len({await One(cql).store.stamps.of(crowd) for crowd in crowds}) == len(crowds)


async def test_pages_are_right_while_many_change_the_partition_at_once(cql: Cql) -> None:
    """Changes overlap each other and the reads; every page holds whoever was acknowledged before it was asked for."""
    processes, reader = [One(cql), One(cql)], One(cql)
    followee = await celebrity(*processes, reader)
    people = [one for one in (IDS.next() for _ in range(2000)) if shard_of(one, 1).bucket == 5]
    acknowledged: set[bytes] = set()
    done = asyncio.Event()

    async def follow(number: int) -> None:
        for person in people[number::6]:
            await processes[number % 2].set(person, followee, True)
            acknowledged.add(person.bytes)

    async def read() -> None:
        while not done.is_set():
            must = set(acknowledged)
            assert must <= set(await kept(reader, followee, Shard(1, 5)))

    async def walk() -> None:
        while not done.is_set():
            must = set(acknowledged)
            assert must <= set(await walked([reader, *processes], followee, Shard(1, 5)))

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(walk())
        async with asyncio.TaskGroup() as writers:
            for number in range(6):
                writers.create_task(follow(number))
        done.set()
    assert await kept(reader, followee, Shard(1, 5)) == sorted(acknowledged)


async def test_a_change_of_which_nobody_knows_the_outcome_is_seen_whenever_it_arrives(cql: Cql) -> None:
    """A batch log may replay it minutes later, when its process may be dead: until it can no more, pages are read."""
    writer, reader = One(cql), One(cql)
    followee, person = await celebrity(writer, reader), IDS.next()
    shard = shard_of(person, 1)
    assert await kept(reader, followee, shard) == []
    [change] = changed_together(await writer.store.edges([Pair(person, followee)]), True, CLOCK.now_us())
    level = (await writer.levels.of([followee]))[followee]
    crowds = [Crowd(followee, one) for one in touched(change.after, level)]
    with pytest.raises(Unavailable):
        async with writer.store.stamps.changing(crowds):
            raise Unavailable("nobody answers")
    assert await kept(reader, followee, shard) == []
    # Other changes of the same process end well meanwhile.
    async with writer.store.stamps.changing(crowds):
        pass
    await asyncio.gather(*writer.store.stamps._ending)
    assert await kept(reader, followee, shard) == []
    # The batch log knows of no stamps.
    await cql.logged_batch(list(writer.store._rows(change, level)), timestamp_us=change.after.version)
    assert await kept(reader, followee, shard) == [person.bytes]


async def test_stamps_of_two_processes_with_clocks_an_hour_apart_hide_nothing(cql: Cql) -> None:
    """Each writes a row of its own: the later clock does not outdo the earlier one's change."""

    class Late:
        def now_ms(self) -> int:
            return CLOCK.now_ms() - 3_600_000

        def now_us(self) -> int:
            return CLOCK.now_us() - 3_600_000_000

    crowd = Crowd(IDS.next(), Shard(1, 0))
    ahead, behind = CqlStamps(cql, CLOCK), CqlStamps(cql, Late())
    seen = set()
    for stamps in (ahead, behind, ahead, behind, behind):
        async with stamps.changing([crowd]):
            assert await ahead.of(crowd) is None
        await asyncio.gather(*stamps._ending)
        seen.add(await ahead.of(crowd))
    assert len(seen) == 5
    assert None not in seen


async def test_what_the_repair_writes_and_removes_is_in_the_next_page(cql: Cql) -> None:
    writer, reader = One(cql), One(cql)
    followee, person = await celebrity(writer, reader), IDS.next()
    shard = shard_of(person, 1)
    [change] = changed_together(await writer.store.edges([Pair(person, followee)]), True, CLOCK.now_us())
    level = (await writer.levels.of([followee]))[followee]
    rows = [row for row in writer.store._rows(change, level) if "followers" not in row[0].query.split()]
    await cql.logged_batch(rows, timestamp_us=change.after.version)
    assert await kept(reader, followee, shard) == []
    repair = Repair(
        CqlMirrors(cql, writer.levels, writer.store.stamps),
        writer.store,
        CLOCK,
        settled_s=0,
        look_again_s=0,
        rows_a_second=10**6,
    )
    assert await repair.walk() == 1
    assert await kept(reader, followee, shard) == [person.bytes]


async def test_pages_of_small_accounts_are_not_kept_and_their_follows_not_stamped(cql: Cql) -> None:
    one, followee, person = One(cql), IDS.next(), IDS.next()
    await one.set(person, followee, True)
    before = served("small")
    assert await kept(one, followee, Shard(0, 0)) == await kept(one, followee, Shard(0, 0)) == [person.bytes]
    assert served("small") == before + 2
    stamps = await cql.execute(
        cql.prepare("SELECT writer FROM follower_stamps WHERE followee_id = ? AND level = 0 AND bucket = 0"),
        (followee,),
    )
    assert stamps == []
