"""Fan-out and backfill: who gets a tweet, once, whatever comes twice or breaks off in the middle."""

import pytest
from aviary.graph.v1.graph_pb2 import FollowerShard
from aviary.timeline.v1.events_pb2 import FanoutChunk
from aviary.tweet.v1.events_pb2 import TweetCreated

from runtime.ids import split_ids
from svc_timeline import metrics
from svc_timeline.domain import LAST_ID, NO_ID, Span
from svc_timeline.events import first_chunk
from svc_timeline.workers import backfill_follow, deliver_chunk, plan_fanout
from tests.unit.svc_timeline.world import DAY_MS, Crash, MemoryWorld, newest_first

CHUNK_POINTS = [
    "timeline.chunk.middle",
    "timeline.chunk.after_stored",
    "timeline.chunk.before_ack",
]


async def followed(world: MemoryWorld, followers: int) -> tuple[bytes, list[bytes]]:
    """An author and followers, half of whom have windows."""
    author = world.person()
    readers = [world.person() for _ in range(followers)]
    for reader in readers:
        await world.follow(reader, author)
    await world.settle()
    await world.warm(*readers[::2])
    return author, readers


async def ensure_delivered(world: MemoryWorld, tweets: list[bytes], readers: list[bytes]) -> None:
    """Everybody has the tweets, each once, in the store and in what is read."""
    for reader in readers:
        assert await world.home(reader, 3) == newest_first(tweets)
        stored = await world.store.read(reader, Span(NO_ID, LAST_ID), 100)
        assert [entry.entry_id for entry in stored] == newest_first(tweets)
    world.windows.away = True
    for reader in readers:
        assert await world.home(reader, 3) == newest_first(tweets)


@pytest.mark.parametrize("followers", [0, 1, 2, 3, 4, 10])
async def test_every_follower_and_the_author_get_a_tweet(world: MemoryWorld, followers: int) -> None:
    """Chunks hold three followers: none, a part, exactly one, several."""
    author, readers = await followed(world, followers)
    tweet = await world.post(author)
    await world.settle()
    await ensure_delivered(world, [tweet], [*readers, author])
    assert len(world.jobs()) == max(1, -(-followers // 3))


async def test_every_shard_of_the_followers_is_delivered_to(world: MemoryWorld) -> None:
    author, readers = await followed(world, 20)
    world.graph.shards = 4
    tweet = await world.post(author)
    await world.settle()
    await ensure_delivered(world, [tweet], [*readers, author])


async def test_the_author_of_many_shards_gets_an_own_tweet_from_one_of_them(world: MemoryWorld) -> None:
    """A window takes a few hundred arrivals: thousands of the same would push all others out of it."""
    author, _ = await followed(world, 20)
    world.graph.shards = 4
    before = metrics.DELIVERIES._value.get()
    tweet = world.tweet(author)
    for bucket in range(4):
        await deliver_chunk(first_chunk(tweet, FollowerShard(level=0, bucket=bucket)), world.deps)
    await world.settle()
    assert metrics.DELIVERIES._value.get() == before + 20 + 1


async def test_the_chunks_of_a_tweet_go_on_in_the_state_that_the_first_one_read(world: MemoryWorld) -> None:
    """And those of the next tweet begin in the state of then: who followed meanwhile is in it."""
    author, _ = await followed(world, 8)
    await world.post(author)
    await world.settle()
    first, *others = world.graph.asked
    assert first.as_of == b""
    assert {request.as_of for request in others} == {b"8 followers"}
    world.graph.asked.clear()
    await world.post(author)
    await world.settle()
    assert world.graph.asked[0].as_of == b""


async def test_somebody_who_does_not_follow_gets_nothing(world: MemoryWorld) -> None:
    author, _ = await followed(world, 2)
    stranger = world.person()
    await world.warm(stranger)
    await world.post(author)
    await world.settle()
    assert await world.home(stranger) == []


async def test_every_event_and_job_handled_twice_changes_nothing(world: MemoryWorld) -> None:
    """P8: in order and in reverse."""
    author, readers = await followed(world, 7)
    follower = world.person()
    follow = await world.follow(follower, author)
    events = [world.tweet(author) for _ in range(3)]
    await world.bus.publish(*events)
    await world.settle()
    for event in [*events, *reversed(events)]:
        await plan_fanout(event, world.deps)
    for job in [*world.jobs(), *reversed(world.jobs())]:
        await deliver_chunk(job, world.deps)
    await backfill_follow(follow, world.deps)
    await world.settle()
    await ensure_delivered(world, [event.tweet_id for event in events], [*readers, author, follower])


@pytest.mark.parametrize("point", CHUNK_POINTS)
@pytest.mark.parametrize("job", [0, 1, 2])
async def test_a_chunk_that_breaks_off_is_delivered_again_and_nobody_has_it_twice(
    world: MemoryWorld, point: str, job: int
) -> None:
    """P8, P9: at every point, in the first, a middle and the last chunk."""
    author, readers = await followed(world, 8)
    first = await world.post(author)
    await world.settle()
    broken = world.jobs()[job]
    world.faults.crash(point)
    with pytest.raises(Crash):
        await deliver_chunk(broken, world.deps)
    await deliver_chunk(broken, world.deps)
    await world.settle()
    await ensure_delivered(world, [first], [*readers, author])


@pytest.mark.parametrize("point", ["timeline.plan.after_jobs", *CHUNK_POINTS])
async def test_a_worker_that_dies_once_loses_nobody(world: MemoryWorld, point: str) -> None:
    """P9: the message comes again, and what was left for later is a job of its own by then."""
    author, readers = await followed(world, 8)
    world.faults.crash(point)
    tweet = await world.post(author)
    await world.settle()
    assert point in world.faults.passed
    await ensure_delivered(world, [tweet], [*readers, author])
    assert world.bus.dead == []


async def test_a_window_lost_between_store_and_push_has_the_tweet_when_it_is_built(world: MemoryWorld) -> None:
    author, readers = await followed(world, 3)
    await world.warm(*readers)
    world.faults.actions["timeline.chunk.after_stored"] = world.windows.clear
    tweet = await world.post(author)
    await world.settle()
    await world.warm(*readers)
    await ensure_delivered(world, [tweet], readers)


async def test_while_the_cache_is_away_a_chunk_waits_and_its_rows_are_readable(world: MemoryWorld) -> None:
    author, readers = await followed(world, 2)
    world.windows.away = True
    tweet = await world.post(author)
    await world.settle()
    assert await world.home(readers[0]) == [tweet]
    assert (await world.consumers.backlog())[1].pending == 1
    world.windows.away = False
    await world.settle()
    assert (await world.consumers.backlog())[1].pending == 0
    await ensure_delivered(world, [tweet], readers)


async def test_a_tweet_older_than_homes_reach_is_delivered_to_nobody(world: MemoryWorld) -> None:
    author, readers = await followed(world, 2)
    event = world.tweet(author)
    world.set_clock.ms += 31 * DAY_MS
    await world.bus.publish(event)
    await world.settle()
    assert await world.home(readers[0]) == []


async def test_edges_are_told_once_each_which_of_their_readers_have_the_tweet(world: MemoryWorld) -> None:
    author, readers = await followed(world, 3)
    east, west, dead = (world.person() for _ in range(3))
    for edge, reader in ((east, readers[0]), (east, readers[1]), (west, readers[1]), (dead, readers[2])):
        await world.presence.arrive(reader, edge)
        await world.presence.beat(edge)
    world.presence.die(dead)
    tweet = await world.post(author)
    await world.settle()
    told = {signal.edge_id: signal for signal in world.signals()}
    assert {edge: set(split_ids(signal.reader_ids)) for edge, signal in told.items()} == {
        east: {readers[0], readers[1]},
        west: {readers[1]},
    }
    assert {(signal.tweet_id, signal.author_id) for signal in told.values()} == {(tweet, author)}


async def test_signals_to_an_edge_are_numbered_without_a_gap(world: MemoryWorld) -> None:
    author, readers = await followed(world, 1)
    edge = world.person()
    await world.presence.arrive(readers[0], edge)
    await world.presence.beat(edge)
    for _ in range(3):
        await world.post(author)
    await world.settle()
    assert [signal.sequence for signal in world.signals()] == [1, 2, 3]
    assert len({signal.publisher_id for signal in world.signals()}) == 1


async def test_nobody_is_told_of_a_tweet_before_it_can_be_read(world: MemoryWorld) -> None:
    author, readers = await followed(world, 1)
    await world.presence.arrive(readers[0], edge := world.person())
    await world.presence.beat(edge)
    world.faults.crash("timeline.chunk.after_stored")
    event = world.tweet(author)
    await plan_fanout(event, world.deps)
    with pytest.raises(Crash):
        await deliver_chunk(world.jobs()[-1], world.deps)
    assert world.signals() == []


async def test_a_follow_brings_the_newest_tweets_of_the_followee_to_their_place(world: MemoryWorld) -> None:
    """P14: the newest five (the limit here), between what is there already; again and again changes nothing."""
    reader, old, new = world.person(), world.person(), world.person()
    await world.follow(reader, old)
    await world.settle()
    await world.warm(reader)
    tweets = []
    for _ in range(4):
        tweets += await world.post_each(old, 1)
        tweets += await world.post_each(new, 2)
    theirs = newest_first(world.tweets.by_author[new])[:5]
    expected = newest_first(world.tweets.by_author[old], theirs)
    for _ in range(3):
        await world.follow(reader, new)
        await world.settle()
        assert await world.home(reader, 3) == expected
        await world.follow(reader, new, following=False)
        await world.settle()
    world.windows.away = True
    assert await world.home(reader, 3) == expected


async def test_backfills_push_nothing_newer_out_of_a_window(world: MemoryWorld) -> None:
    """Old tweets of many new followees arrive now; the window still answers for the newest entries of the home."""
    reader, author = world.person(), world.person()
    others = [world.person() for _ in range(6)]
    for other in others:
        await world.post_each(other, 5)
    await world.follow(reader, author)
    await world.settle()
    await world.warm(reader)
    tweets = await world.post_each(author, 8)
    for other in others:
        await world.follow(reader, other)
    await world.settle()
    window = (await world.windows.look(reader, 100)).window
    assert window is not None
    assert window.floor < tweets[-1]
    assert (await world.home(reader))[:8] == tweets


async def test_a_backfill_into_a_window_that_keeps_changing_is_in_the_home(world: MemoryWorld) -> None:
    reader, author = world.person(), world.person()
    await world.warm(reader)
    theirs = await world.post_each(author, 3)
    replace = world.windows.replace

    async def refused(*_: object, **__: object) -> bool:
        return False

    world.windows.replace = refused  # type: ignore[assignment]
    await world.follow(reader, author)
    await world.settle()
    world.windows.replace = replace  # type: ignore[method-assign]
    assert await world.home(reader) == theirs


async def test_the_end_of_a_follow_delivers_nothing(world: MemoryWorld) -> None:
    reader, author = world.person(), world.person()
    await world.post_each(author, 2)
    world.graph.follow(reader, author)
    await world.follow(reader, author, following=False)
    await world.settle()
    assert await world.home(reader) == []


async def test_a_backfill_leaves_out_what_is_older_than_homes_reach(world: MemoryWorld) -> None:
    reader, author = world.person(), world.person()
    await world.post_each(author, 2)
    world.set_clock.ms += 31 * DAY_MS
    new = await world.post_each(author, 2)
    await world.follow(reader, author)
    await world.settle()
    assert await world.home(reader) == new


async def test_an_event_without_whole_ids_is_set_aside(world: MemoryWorld) -> None:
    await world.bus.publish(TweetCreated(event_id=world.person(), tweet_id=b"x", author_id=world.person()))
    await world.bus.publish(FanoutChunk(event_id=world.person(), tweet_id=world.person(), author_id=b""))
    await world.settle()
    assert [durable for durable, _, _ in world.bus.dead] == ["timeline-plan", "timeline-chunk"]
