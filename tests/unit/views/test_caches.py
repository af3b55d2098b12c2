"""The tweets that the view plane keeps: bounded, and never older than they say."""

import asyncio

import pytest
from aviary.tweet.v1.events_pb2 import TweetDeleted

from simulation.bus import MemoryBus
from tests.unit.views.world import Gate, World, ids
from views.build import listen
from views.caches import TweetCache


async def test_bodies_leave_only_for_want_of_room(world: World) -> None:
    alice = world.user("alice")
    tweets = [world.tweet(alice) for _ in range(4)]
    cache = TweetCache(world.deps.tweet, world.deps.statuses, size=3)
    await world.warm()
    for tweet in tweets[:3]:
        await cache.get([tweet])
    assert cache.cached([tweets[0]]) is not None
    await cache.get(tweets[3:])
    assert cache.cached([tweets[1]]) is None, "the one used least lately"
    assert cache.cached([tweets[0], tweets[2], tweets[3]]) is not None


async def test_a_deleted_tweet_stays_known_as_deleted_whatever_the_statuses(world: World) -> None:
    tweet = world.tweet(world.user("alice"))
    world.delete(tweet)
    await world.deps.tweets.get([tweet])
    world.clock.advance(100)
    known = world.deps.tweets.cached([tweet])
    assert known is not None and known[tweet].deleted


async def test_a_deletion_that_was_announced_and_never_signalled_hides_the_tweet_and_is_told_once(world: World) -> None:
    """P19. Its process was told that the write failed, which a batch log did later; or nobody was left to signal it."""
    alice = world.user("alice")
    tweet = world.tweet(alice)
    bus = MemoryBus()
    await listen(world.deps, bus)
    await world.warm()
    assert ids(await world.home(alice)) == [tweet]
    told: list[tuple[bytes, bytes]] = []
    world.deps.statuses.watch(lambda *which: told.append(which), lambda: None)
    world.delete(tweet)
    await bus.publish(TweetDeleted(event_id=b"e" * 16, tweet_id=tweet, author_id=alice))
    assert ids(await world.home(alice)) == []
    await world.signal_delete(tweet)
    assert told == [(tweet, alice)]


@pytest.mark.parametrize("why", ["a gap", "no signals", "asked for anew"])
async def test_who_may_not_take_an_answer_from_before_asks_again(world: World, why: str) -> None:
    """P18: the load under way may have read the tweet before it was deleted, and the deletion is what was not heard."""
    alice = world.user("alice")
    tweet = world.tweet(alice)
    if why != "no signals":
        await world.warm()
    gate = Gate()
    world.hold["GetTweets"] = gate
    early = asyncio.ensure_future(world.deps.tweets.get([tweet]))
    await gate.arrived.wait()
    world.delete(tweet)
    if why == "a gap":
        world.lose_a_signal()
        await world.heartbeat()
    late = asyncio.ensure_future(world.deps.tweets.get([tweet], [tweet] if why == "asked for anew" else ()))
    await world.until(lambda: world.calls["GetTweets"] == 2)
    gate.open()
    await early
    assert (await late)[tweet].deleted


async def test_an_answer_that_arrives_late_does_not_bring_a_deleted_tweet_back(world: World) -> None:
    """P19: it was read before the deletion, and the one that was read after it is here already."""
    tweet = world.tweet(world.user("alice"))
    await world.warm()
    gate = Gate()
    world.hold["GetTweets"] = gate
    early = asyncio.ensure_future(world.deps.tweets.get([tweet]))
    await gate.arrived.wait()
    del world.hold["GetTweets"]
    world.delete(tweet)
    world.lose_a_signal()
    await world.heartbeat()
    assert (await world.deps.tweets.get([tweet]))[tweet].deleted
    gate.open()
    await early
    assert (await world.deps.tweets.get([tweet]))[tweet].deleted
