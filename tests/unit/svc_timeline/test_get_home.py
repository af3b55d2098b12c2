"""GetHome: pages from window, store and own writes; which tweets may be shown is judged elsewhere."""

import asyncio

import grpc
import pytest
from aviary.timeline.v1.timeline_pb2 import GetHomeRequest
from grpc import aio

from readers.recent import DELETED_TWEET, GRAPH_VERSION, OWN_TWEET
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.errors import Unavailable, from_rpc
from runtime.ids import split_ids
from svc_timeline.domain import Entry, Span
from tests.unit.svc_timeline.world import DAY_MS, MemoryWorld, newest_first


async def reader_of(world: MemoryWorld, count: int) -> tuple[bytes, bytes, list[bytes]]:
    """A reader with a window, an author whom they follow, and the author's tweets, newest first."""
    reader, author = world.person(), world.person()
    await world.follow(reader, author)
    await world.settle()
    await world.warm(reader)
    return reader, author, await world.post_each(author, count)


class CountedStore:
    """The store, whose reads are counted and which can be away."""

    def __init__(self, world: MemoryWorld) -> None:
        self._read = world.store.read
        self.reads = 0
        self.down = False
        world.store.read = self.read  # type: ignore[method-assign]

    async def read(self, user_id: bytes, span: Span, limit: int) -> list[Entry]:
        if limit < 1 or span.empty:
            return []
        self.reads += 1
        if self.down:
            raise Unavailable("down")
        return await self._read(user_id, span, limit)


async def test_a_home_holds_what_was_fanned_out_newest_first(world: MemoryWorld) -> None:
    reader, author, tweets = await reader_of(world, 5)
    answer = await world.page(reader)
    assert split_ids(answer.tweet_ids) == tweets
    assert split_ids(answer.author_ids) == [author] * 5
    assert not answer.has_more


async def test_a_warm_home_asks_nobody_else(world: MemoryWorld) -> None:
    reader, _, tweets = await reader_of(world, 6)
    store = CountedStore(world)
    calls = world.graph.calls + world.tweets.calls
    answer = await world.page(reader, limit=5)
    assert split_ids(answer.tweet_ids) == tweets[:5]
    assert answer.has_more
    assert world.graph.calls + world.tweets.calls == calls
    assert store.reads == 0


async def test_a_home_of_nobody_known_is_empty_and_ends(world: MemoryWorld) -> None:
    answer = await world.page(world.person())
    assert (answer.tweet_ids, answer.has_more) == (b"", False)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20, 60])
async def test_any_page_size_gives_the_same_whole_across_window_and_store(world: MemoryWorld, limit: int) -> None:
    """P6, P24: the window holds the newest few of thirty; the store goes on where the window's knowledge ends."""
    reader, _, tweets = await reader_of(world, 30)
    assert await world.home(reader, limit) == tweets


async def test_tweets_that_arrive_meanwhile_shift_no_page(world: MemoryWorld) -> None:
    """P31: pages are bounded by ids."""
    reader, author, tweets = await reader_of(world, 12)
    first = await world.page(reader, limit=5)
    await world.post_each(author, 5)
    second = await world.page(reader, limit=20, max_id=split_ids(first.tweet_ids)[-1])
    assert split_ids(first.tweet_ids) + split_ids(second.tweet_ids) == tweets


async def test_max_id_and_since_id_are_not_part_of_the_page(world: MemoryWorld) -> None:
    reader, _, tweets = await reader_of(world, 20)
    for newer, older in ((2, 5), (2, 15), (12, 18), (0, 19)):
        answer = await world.page(reader, max_id=tweets[newer], since_id=tweets[older])
        assert split_ids(answer.tweet_ids) == tweets[newer + 1 : older]
        assert not answer.has_more


async def test_a_lost_window_leaves_no_hole(world: MemoryWorld) -> None:
    """P5: what was delivered while there was no window is there, from the store, and then from the window built again."""
    reader, author, tweets = await reader_of(world, 5)
    world.windows.clear()
    tweets = await world.post_each(author, 5) + tweets
    assert await world.home(reader, 3) == tweets
    await world.settle()
    store = CountedStore(world)
    answer = await world.page(reader, limit=7)
    assert split_ids(answer.tweet_ids) == tweets[:7]
    assert store.reads == 0


async def test_a_window_is_never_served_below_its_floor(world: MemoryWorld) -> None:
    """P6: an entry that a trim should have dropped and did not, or that came late below the floor, hides no other."""
    reader, _, tweets = await reader_of(world, 30)
    await world.windows.push([reader], Entry(tweets[25], world.person()))
    assert await world.home(reader, 4) == tweets


async def test_entries_delivered_twice_and_in_reverse_read_as_once_and_in_order(world: MemoryWorld) -> None:
    """P8, promise 2."""
    reader, author, tweets = await reader_of(world, 2)
    late = [world.tweet(author) for _ in range(5)]
    for event in [*reversed(late), *late]:
        event.event_id = world.ids.next().bytes
        await world.bus.publish(event)
        await world.settle()
    expected = newest_first(tweets, [event.tweet_id for event in late])
    for limit in (1, 3, 10):
        assert await world.home(reader, limit) == expected


async def test_an_own_tweet_is_there_before_its_fan_out(world: MemoryWorld) -> None:
    """P13: at its place, once, before and after the event was handled."""
    reader, author, tweets = await reader_of(world, 2)
    own = world.tweet(reader)
    await world.windows.record(reader, OWN_TWEET, own.tweet_id)
    expected = [own.tweet_id, *tweets]
    assert split_ids((await world.page(reader)).tweet_ids) == expected
    newer = await world.post_each(author, 1, apart_ms=1_000)
    assert split_ids((await world.page(reader)).tweet_ids) == newer + expected
    await world.bus.publish(own)
    await world.settle()
    assert split_ids((await world.page(reader)).tweet_ids) == newer + expected


async def test_an_own_tweet_shifts_no_other_off_the_list(world: MemoryWorld) -> None:
    """P13: what no longer fits on the page is said to follow."""
    reader, _, tweets = await reader_of(world, 3)
    own = world.tweet(reader)
    await world.windows.record(reader, OWN_TWEET, own.tweet_id)
    answer = await world.page(reader, limit=3)
    assert split_ids(answer.tweet_ids) == [own.tweet_id, *tweets[:2]]
    assert answer.has_more
    assert await world.home(reader, 3) == [own.tweet_id, *tweets]


async def test_an_own_tweet_is_there_although_the_cache_was_emptied(world: MemoryWorld) -> None:
    """P13, promise 5: then the own head comes from its owner, also into the window that is built."""
    reader, _, tweets = await reader_of(world, 3)
    own = world.tweet(reader)
    world.windows.clear()
    for _ in range(2):
        answer = await world.page(reader)
        assert split_ids(answer.tweet_ids) == [own.tweet_id, *tweets]
        assert answer.recent_unknown
        await world.settle()
    store = CountedStore(world)
    await world.page(reader, limit=4)
    assert store.reads == 0


async def test_an_own_tweet_is_there_while_the_cache_is_away(world: MemoryWorld) -> None:
    """P13, promise 5, promise 9."""
    reader, _, tweets = await reader_of(world, 3)
    own = world.tweet(reader)
    world.windows.away = True
    answer = await world.page(reader)
    assert split_ids(answer.tweet_ids) == [own.tweet_id, *tweets]
    assert answer.recent_unknown


async def test_without_the_cache_any_page_size_gives_the_same_whole(world: MemoryWorld) -> None:
    """Promise 9: slower, and still all of it, own tweets among the others."""
    reader, author, tweets = await reader_of(world, 10)
    own = [world.tweet(reader).tweet_id for _ in range(3)]
    tweets = await world.post_each(author, 3) + own[::-1] + tweets
    world.windows.away = True
    for limit in (1, 2, 5, 50):
        assert await world.home(reader, limit) == tweets


async def test_what_the_reader_did_lately_is_told(world: MemoryWorld) -> None:
    reader, _, tweets = await reader_of(world, 1)
    for version in (77, 99, 88):
        await world.windows.record(reader, GRAPH_VERSION, version.to_bytes(8))
    await world.windows.record(reader, DELETED_TWEET, tweets[0])
    answer = await world.page(reader)
    assert split_ids(answer.deleted_ids) == [tweets[0]]
    assert answer.graph_version == 99
    assert not answer.recent_unknown


async def test_nothing_is_said_about_own_writes_by_a_cache_that_was_emptied(world: MemoryWorld) -> None:
    """The window is built again long before a minute has passed; that own writes are unknown is still said."""
    reader, _, _ = await reader_of(world, 1)
    world.windows.clear()
    await world.warm(reader)
    assert (await world.page(reader)).recent_unknown


async def test_a_home_ends_at_its_depth_in_window_and_store(world: MemoryWorld) -> None:
    """P24: thirty days back is the true end, wherever the page comes from."""
    reader, author, old = await reader_of(world, 3)
    world.set_clock.ms += 30 * DAY_MS
    new = await world.post_each(author, 2)
    await world.warm(reader)
    assert old[0] not in await world.home(reader)
    assert await world.home(reader, 1) == new
    world.windows.away = True
    assert await world.home(reader, 1) == new


async def test_while_the_store_is_away_warm_pages_are_answered_and_others_are_refused(world: MemoryWorld) -> None:
    """Promise 9: what the window knows is shown; a page that needs more is 503, never an end."""
    reader, _, tweets = await reader_of(world, 30)
    store = CountedStore(world)
    store.down = True
    assert split_ids((await world.page(reader, limit=5)).tweet_ids) == tweets[:5]
    with pytest.raises(aio.AioRpcError) as raised:
        await world.page(reader, max_id=tweets[20])
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_many_pages_at_once_build_one_window(world: MemoryWorld) -> None:
    """P23."""
    reader, _, tweets = await reader_of(world, 5)
    world.windows.clear()
    pages = await asyncio.gather(*(world.page(reader) for _ in range(20)))
    await world.settle()
    assert all(split_ids(page.tweet_ids) == tweets for page in pages)
    assert world.faults.passed.count("timeline.rebuild.after_mark") == 2


@pytest.mark.parametrize("caller", [Caller(), Caller(user_id=b"u" * 16, session_id=b"s" * 16, scopes=ALL_SCOPES)])
async def test_only_services_read_homes(world: MemoryWorld, caller: Caller) -> None:
    with acting(caller), pytest.raises(aio.AioRpcError) as raised:
        await world.outside.GetHome(GetHomeRequest(user_id=world.person()))
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("field", "value"), [("user_id", b"short"), ("max_id", b"short"), ("since_id", b"s" * 15), ("limit", 401)]
)
async def test_what_breaks_the_contract_is_refused_by_name(world: MemoryWorld, field: str, value: bytes | int) -> None:
    request = GetHomeRequest(user_id=world.person())
    setattr(request, field, value)
    with pytest.raises(aio.AioRpcError) as raised:
        await world.stub.GetHome(request)
    assert [problem.field for problem in from_rpc(raised.value).fields] == [field]


@pytest.mark.parametrize("bound", [b"\x00" * 16, b"\xff" * 16])
async def test_a_bound_may_be_any_sixteen_bytes(world: MemoryWorld, bound: bytes) -> None:
    reader, _, tweets = await reader_of(world, 12)
    below = await world.page(reader, max_id=bound)
    above = await world.page(reader, since_id=bound)
    assert split_ids(below.tweet_ids) == (tweets if bound[0] else [])
    assert split_ids(above.tweet_ids) == ([] if bound[0] else tweets)
