"""Windows are built from the store: what happens meanwhile is kept, and a build that dies is taken over."""

import pytest

from runtime.ids import split_ids
from svc_timeline.domain import NO_ID, Entry
from svc_timeline.windows import TAKEOVER_MS
from tests.unit.svc_timeline.world import Crash, MemoryWorld


async def stored(world: MemoryWorld, count: int) -> tuple[bytes, bytes, list[bytes]]:
    """A reader without a window, whom an author's tweets reached; newest first."""
    reader, author = world.person(), world.person()
    await world.follow(reader, author)
    return reader, author, await world.post_each(author, count)


async def test_a_window_that_holds_the_whole_home_says_so(world: MemoryWorld) -> None:
    reader, _, tweets = await stored(world, 8)
    assert await world.deps.rebuilds.build(reader) == "built"
    window = (await world.windows.look(reader, 100)).window
    assert window is not None
    assert ([e.entry_id for e in window.entries], window.floor, window.ready) == (tweets, NO_ID, True)


async def test_a_window_of_a_longer_home_ends_at_its_floor(world: MemoryWorld) -> None:
    reader, _, tweets = await stored(world, 9)
    assert await world.deps.rebuilds.build(reader) == "built"
    window = (await world.windows.look(reader, 100)).window
    assert window is not None
    assert ([e.entry_id for e in window.entries], window.floor) == (tweets[:8], tweets[8])


async def test_what_is_delivered_while_a_window_is_built_is_in_it(world: MemoryWorld) -> None:
    """P5: stored after the store was read, pushed before the window was ready: the mark had let the push in."""
    reader, author, tweets = await stored(world, 4)
    read = world.store.read
    late: list[Entry] = []

    async def read_then_deliver(*args: object) -> list[Entry]:
        found = await read(*args)  # type: ignore[arg-type]
        entry = Entry(world.tweet(author).tweet_id, author)
        late.append(entry)
        await world.store.add([reader], [entry])
        await world.windows.push([reader], entry)
        return found

    world.store.read = read_then_deliver  # type: ignore[method-assign]
    assert await world.deps.rebuilds.build(reader) == "built"
    world.store.read = read  # type: ignore[method-assign]
    window = (await world.windows.look(reader, 100)).window
    assert window is not None
    assert window.ready
    assert [e.entry_id for e in window.entries] == [late[0].entry_id, *tweets]


async def test_a_follow_while_a_window_is_built_is_in_it(world: MemoryWorld) -> None:
    reader, _, tweets = await stored(world, 3)
    other = world.person()
    theirs = await world.post_each(other, 2)
    read = world.store.read

    async def read_then_follow(*args: object) -> list[Entry]:
        world.store.read = read  # type: ignore[method-assign]
        found = await read(*args)  # type: ignore[arg-type]
        await world.follow(reader, other)
        await world.bus.settle()
        return found

    world.store.read = read_then_follow  # type: ignore[method-assign]
    assert await world.deps.rebuilds.build(reader) == "built"
    assert split_ids((await world.page(reader)).tweet_ids) == theirs + tweets


async def test_a_window_being_built_is_served_to_nobody(world: MemoryWorld) -> None:
    """P6: it holds only what was pushed meanwhile."""
    reader, author, tweets = await stored(world, 4)
    assert await world.windows.mark_building(reader, b"t" * 16)
    newer = await world.post_each(author, 1)
    assert await world.home(reader) == newer + tweets


async def test_a_build_that_dies_is_taken_over_after_some_seconds(world: MemoryWorld) -> None:
    reader, _, tweets = await stored(world, 4)
    world.faults.crash("timeline.rebuild.after_mark")
    with pytest.raises(Crash):
        await world.deps.rebuilds.build(reader)
    assert await world.deps.rebuilds.build(reader) == "not_needed"
    assert await world.home(reader) == tweets
    world.set_clock.ms += TAKEOVER_MS
    assert await world.deps.rebuilds.build(reader) == "built"
    assert await world.home(reader) == tweets


async def test_a_build_that_was_taken_over_changes_nothing(world: MemoryWorld) -> None:
    """Its view of the store is old by then; that of the one who took over counts."""
    reader, _, _ = await stored(world, 4)

    def take_over() -> None:
        world.set_clock.ms += TAKEOVER_MS
        kept = world.windows._windows[reader]
        kept.token = b"other" + bytes(11)

    world.faults.actions["timeline.rebuild.after_mark"] = take_over
    assert await world.deps.rebuilds.build(reader) == "overtaken"
    window = (await world.windows.look(reader, 100)).window
    assert window is not None
    assert not window.ready


async def test_a_build_whose_window_vanished_changes_nothing(world: MemoryWorld) -> None:
    reader, _, _ = await stored(world, 4)
    world.faults.actions["timeline.rebuild.after_mark"] = world.windows.clear
    assert await world.deps.rebuilds.build(reader) == "overtaken"
    assert (await world.windows.look(reader, 100)).window is None


async def test_a_build_that_fails_is_tried_again_by_a_later_page(world: MemoryWorld) -> None:
    reader, _, tweets = await stored(world, 4)
    world.tweets.down = True
    world.deps.rebuilds.start(reader)
    await world.deps.rebuilds.settle()
    world.tweets.down = False
    assert await world.home(reader) == tweets
    world.set_clock.ms += TAKEOVER_MS
    await world.warm(reader)
    window = (await world.windows.look(reader, 100)).window
    assert window is not None
    assert window.ready


async def test_an_own_tweet_whose_fan_out_is_late_outlives_its_place_in_the_window(world: MemoryWorld) -> None:
    """Promise 5: own writes are forgotten with the cache, and what a window drops must be in the store."""
    reader, author, tweets = await stored(world, 3)
    own = world.tweet(reader)
    world.windows.clear()
    assert await world.deps.rebuilds.build(reader) == "built"
    newer = await world.post_each(author, 12)
    window = (await world.windows.look(reader, 100)).window
    assert window is not None
    assert own.tweet_id not in {e.entry_id for e in window.entries}
    assert await world.home(reader) == [*newer, own.tweet_id, *tweets]


async def test_an_own_tweet_whose_fan_out_is_late_is_there_below_the_floor_too(world: MemoryWorld) -> None:
    """Promise 5: a build stores it, although its window ends above it."""
    reader, author, tweets = await stored(world, 3)
    own = world.tweet(reader)
    newer = await world.post_each(author, 12)
    world.windows.clear()
    assert await world.deps.rebuilds.build(reader) == "built"
    assert await world.home(reader) == [*newer, own.tweet_id, *tweets]
