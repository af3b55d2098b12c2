"""What Windows promise, held against the memory windows and those in Redis alike."""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import pytest

from readers.recent import DELETED_TWEET, GRAPH_VERSION, OWN_TWEET, RecentWrites, tweet_value
from redis_client import Redis, connect_redis
from redis_client.line import Line
from runtime.config import MeshConfig
from runtime.ids import SystemClock, uuid7_of
from svc_timeline.config import Limits
from svc_timeline.domain import LAST_ID, NO_ID, Entry, Span, Window, newest, read_window
from svc_timeline.windows import EVERYTHING, RedisWindows, Windows
from svc_timeline.windows_memory import MemoryWindows

CLOCK = SystemClock()
LIMITS = Limits(window=16, window_ttl_s=60)
SLACK = 2
TOKEN, OTHER = b"t" * 16, b"o" * 16
ALL_IDS = Span(NO_ID, LAST_ID)


class Kind(Protocol):
    """One kind of windows, and what tests do beside them."""

    windows: Windows

    def impatient(self) -> Windows:
        """The same windows, for whom every build began long ago."""

    async def write(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        """Something that a user did lately."""

    async def empty(self) -> None:
        """The cache is emptied."""


class InMemory:
    def __init__(self) -> None:
        self._memory = MemoryWindows(CLOCK, LIMITS)
        self.windows: Windows = self._memory

    def impatient(self) -> Windows:
        self._memory.takeover_ms = 0
        return self._memory

    async def write(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        await self._memory.record(user_id, kind, value)

    async def empty(self) -> None:
        self._memory.clear()


class InRedis:
    def __init__(self, redis: Redis, line: Line, namespace: str) -> None:
        self._redis, self._line, self._namespace = redis, line, namespace
        self._recent = RecentWrites(redis, namespace)
        self.redis_windows = RedisWindows(line, namespace, self._recent, LIMITS)
        self.windows: Windows = self.redis_windows

    def impatient(self) -> Windows:
        return RedisWindows(self._line, self._namespace, self._recent, LIMITS, takeover_ms=0)

    async def write(self, user_id: bytes, kind: bytes, value: bytes) -> None:
        await self._recent.record(user_id, kind, value)

    async def empty(self) -> None:
        async for key in self._redis.scan_iter(match=f"{self._namespace}:*"):
            await self._redis.delete(key)


@pytest.fixture
async def redis(mesh_config: MeshConfig) -> AsyncIterator[Redis]:
    """A client of the server of this run."""
    client = connect_redis(mesh_config)
    yield client
    await client.aclose()


@pytest.fixture
async def line(mesh_config: MeshConfig) -> AsyncIterator[Line]:
    """The same server, as svc_timeline asks it."""
    line = Line(mesh_config.redis_url, silence_s=60)
    yield line
    await line.aclose()


@pytest.fixture(params=["memory", "redis"])
async def kind(request: pytest.FixtureRequest, redis: Redis, line: Line, namespace: str) -> Kind:
    """Each kind in turn."""
    if request.param == "memory":
        return InMemory()
    found = InRedis(redis, line, f"{namespace}w{uuid.uuid4().hex[:6]}")
    await found.redis_windows.start()
    return found


def person() -> bytes:
    return uuid7_of(CLOCK.now_ms(), uuid.uuid4().int).bytes


def entry(age_ms: int) -> Entry:
    return Entry(uuid7_of(CLOCK.now_ms() - age_ms, uuid.uuid4().int).bytes, person())


async def seen(windows: Windows, user: bytes, count: int = EVERYTHING) -> Window:
    """The window, which must be there."""
    window = (await windows.look(user, count)).window
    assert window is not None
    return window


async def ready(windows: Windows, user: bytes, entries: Sequence[Entry] = (), floor: bytes = NO_ID) -> None:
    """A ready window with these entries."""
    assert await windows.mark_building(user, TOKEN)
    assert await windows.replace(user, await seen(windows, user), entries, floor, ready=True)


async def test_where_there_is_no_window_nothing_is_pushed(kind: Kind) -> None:
    user = person()
    assert await kind.windows.push([user], entry(0)) == []
    assert (await kind.windows.look(user, 10)).window is None


async def test_a_push_reaches_every_window_that_exists_and_tells_which(kind: Kind) -> None:
    with_window, without, building = person(), person(), person()
    await ready(kind.windows, with_window)
    assert await kind.windows.mark_building(building, TOKEN)
    pushed = entry(0)
    assert await kind.windows.push([with_window, without, building], pushed) == [with_window, building]
    for user in (with_window, building):
        assert (await seen(kind.windows, user)).entries == [pushed]


async def test_more_windows_than_one_call_takes_are_all_pushed_to(kind: Kind) -> None:
    users = [person() for _ in range(1100)]
    await ready(kind.windows, users[3])
    await ready(kind.windows, users[1099])
    assert await kind.windows.push(users, entry(0)) == [users[3], users[1099]]


async def test_an_empty_window_is_a_window(kind: Kind) -> None:
    user = person()
    await ready(kind.windows, user)
    window = await seen(kind.windows, user)
    assert (window.ready, window.entries, window.length, window.whole) == (True, [], 0, True)


async def test_the_latest_arrivals_come_first_whatever_their_ids(kind: Kind) -> None:
    user, arrivals = person(), [entry(5), entry(900), entry(40), entry(1)]
    await ready(kind.windows, user)
    for one in arrivals:
        await kind.windows.push([user], one)
    assert (await seen(kind.windows, user)).entries == arrivals[::-1]
    some = await seen(kind.windows, user, 3)
    assert (some.entries, some.length, some.whole) == (arrivals[:0:-1], 4, False)


async def test_what_was_pushed_twice_arrived_twice_and_is_read_once(kind: Kind) -> None:
    user, twice = person(), entry(0)
    await ready(kind.windows, user)
    for _ in range(2):
        await kind.windows.push([user], twice)
    window = await seen(kind.windows, user)
    assert window.length == 2
    assert read_window(window, ALL_IDS, 10) == [twice]


async def test_arrivals_are_stamped_with_the_time_of_their_push(kind: Kind) -> None:
    user = person()
    await ready(kind.windows, user)
    before = CLOCK.now_ms()
    await kind.windows.push([user], entry(3_600_000))
    after = CLOCK.now_ms()
    assert before - 2 <= (await seen(kind.windows, user)).oldest_arrival_ms <= after + 2


async def test_entries_put_in_place_are_told_from_arrivals(kind: Kind) -> None:
    user, old = person(), [entry(1000), entry(60_000)]
    await ready(kind.windows, user, old)
    await kind.windows.push([user], entry(0))
    assert [(await seen(kind.windows, user, count)).placed for count in (1, 2, 3)] == [False, True, True]


async def test_a_window_that_grows_too_long_keeps_the_latest_and_knows_what_it_dropped(kind: Kind) -> None:
    """P6: complete above the floor, whatever was dropped, late old entries among them."""
    user = person()
    entries = [entry(100_000 - 1000 * n if n % 3 else 500_000 - n) for n in range(3 * LIMITS.window)]
    await ready(kind.windows, user)
    for one in entries:
        await kind.windows.push([user], one)
    window = await seen(kind.windows, user)
    assert LIMITS.window <= window.length <= LIMITS.window + SLACK
    assert list(window.entries) == entries[::-1][: window.length]
    dropped = entries[: len(entries) - window.length]
    newest_dropped = max(e.entry_id for e in dropped)
    assert newest_dropped <= window.floor <= newest_dropped[:6] + b"\xff" * 10


async def test_the_floor_never_sinks(kind: Kind) -> None:
    user, floor = person(), entry(1000).entry_id
    await ready(kind.windows, user, floor=floor)
    for n in range(2 * LIMITS.window):
        await kind.windows.push([user], entry(50_000 + n))
    assert (await seen(kind.windows, user)).floor == floor


async def test_only_one_builds_a_window(kind: Kind) -> None:
    user = person()
    assert await kind.windows.mark_building(user, TOKEN)
    assert not await kind.windows.mark_building(user, OTHER)
    window = await seen(kind.windows, user)
    assert (window.ready, window.token) == (False, TOKEN)


async def test_a_ready_window_is_not_built(kind: Kind) -> None:
    user = person()
    await ready(kind.windows, user)
    assert not await kind.impatient().mark_building(user, OTHER)
    assert (await seen(kind.windows, user)).ready


async def test_a_build_that_began_long_ago_is_taken_over_with_what_was_pushed(kind: Kind) -> None:
    user, pushed = person(), entry(0)
    assert await kind.windows.mark_building(user, TOKEN)
    await kind.windows.push([user], pushed)
    first = await seen(kind.windows, user)
    assert await kind.impatient().mark_building(user, OTHER)
    window = await seen(kind.windows, user)
    assert (window.ready, window.token, window.entries) == (False, OTHER, [pushed])
    assert not await kind.windows.replace(user, first, [], NO_ID, ready=True)


async def test_what_is_pushed_before_a_replacement_stays_above_it(kind: Kind) -> None:
    """P5: nothing that arrives between reading the store and putting it in place is lost."""
    user, first, second, stored = person(), entry(300), entry(200), entry(4000)
    assert await kind.windows.mark_building(user, TOKEN)
    await kind.windows.push([user], first)
    before = await seen(kind.windows, user)
    await kind.windows.push([user], second)
    assert await kind.windows.replace(user, before, [first, stored], entry(9000).entry_id, ready=True)
    window = await seen(kind.windows, user)
    assert (window.ready, window.entries) == (True, [second, first, stored])


async def test_a_replacement_of_more_entries_than_one_command_takes_is_whole(kind: Kind) -> None:
    user = person()
    entries = newest([entry(n) for n in range(1201)], ALL_IDS, 1201)
    await ready(kind.windows, user, entries, floor := entry(90_000).entry_id)
    window = await seen(kind.windows, user)
    assert (window.entries, window.floor, window.whole) == (entries, floor, True)


async def test_a_window_that_was_trimmed_since_is_not_replaced(kind: Kind) -> None:
    user, kept = person(), entry(1)
    await ready(kind.windows, user, [entry(50)])
    before = await seen(kind.windows, user)
    for _ in range(LIMITS.window + SLACK):
        await kind.windows.push([user], kept)
    assert not await kind.windows.replace(user, before, [], NO_ID, ready=True)
    assert (await seen(kind.windows, user)).entries[-1] == kept


async def test_a_window_that_was_replaced_since_is_not_replaced(kind: Kind) -> None:
    user, one = person(), entry(1)
    await ready(kind.windows, user)
    before = await seen(kind.windows, user)
    assert await kind.windows.replace(user, before, [one], NO_ID, ready=True)
    assert not await kind.windows.replace(user, before, [], NO_ID, ready=True)
    assert (await seen(kind.windows, user)).entries == [one]


async def test_a_window_that_is_gone_is_not_replaced(kind: Kind) -> None:
    user = person()
    await ready(kind.windows, user)
    before = await seen(kind.windows, user)
    await kind.windows.drop(user)
    assert not await kind.windows.replace(user, before, [entry(1)], NO_ID, ready=True)
    assert (await kind.windows.look(user, 10)).window is None


async def test_own_writes_come_with_the_window_or_without_one(kind: Kind) -> None:
    user = person()
    for kept, value in ((OWN_TWEET, b"1" * 16), (DELETED_TWEET, b"2" * 16), (OWN_TWEET, tweet_value(b"3" * 16, 7))):
        await kind.write(user, kept, value)
    for version in (5, 9, 7):
        await kind.write(user, GRAPH_VERSION, version.to_bytes(8))
    without = (await kind.windows.look(user, 10)).recent
    await ready(kind.windows, user)
    recent = (await kind.windows.look(user, 10)).recent
    assert recent == without
    assert (recent.tweet_ids, recent.deleted_ids) == ([b"3" * 16, b"1" * 16], [b"2" * 16])
    assert (recent.graph_version, recent.unknown) == (9, False)


async def test_a_cache_that_was_emptied_does_not_claim_to_know_own_writes(kind: Kind) -> None:
    user = person()
    await ready(kind.windows, user)
    await kind.empty()
    for _ in range(2):
        assert (await kind.windows.look(user, 10)).recent.unknown
        await ready(kind.windows, user)
        await kind.windows.drop(user)
