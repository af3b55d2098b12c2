"""Caches of the view plane: bounded, and never older than they say."""

import asyncio

from aviary.graph.v1 import events_pb2
from aviary.tweet.v1.events_pb2 import TweetDeleted

from simulation.bus import MemoryBus
from tests.unit.views.world import Gate, Monotonic, World, ids
from views.build import listen
from views.caches import AuthorCache, FollowCache, TweetCache


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


async def test_who_asks_after_a_gap_does_not_take_an_answer_from_before_it(world: World) -> None:
    """The load under way may have read the tweet before it was deleted, and the deletion is what was lost."""
    alice = world.user("alice")
    tweet = world.tweet(alice)
    await world.warm()
    gate = Gate()
    world.hold["GetTweets"] = gate
    early = asyncio.ensure_future(world.deps.tweets.get([tweet]))
    await gate.arrived.wait()
    world.delete(tweet)
    world.lose_a_signal()
    await world.heartbeat()
    late = asyncio.ensure_future(world.deps.tweets.get([tweet]))
    await world.until(lambda: world.calls["GetTweets"] == 2 or late.done())
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


async def test_an_author_that_did_not_change_keeps_its_presentations(world: World) -> None:
    alice = world.user("alice")
    before = (await world.deps.authors.get([alice]))[alice]
    world.clock.advance(61)
    assert world.deps.authors.cached([alice]) is None
    assert (await world.deps.authors.get([alice]))[alice] is before
    assert world.deps.authors.cached([alice]) is not None


async def test_authors_are_bounded(world: World) -> None:
    people = [world.user(f"u{n}") for n in range(3)]
    cache = AuthorCache(world.deps.user, world.clock, size=2)
    await cache.get(people)
    assert cache.cached(people[:1]) is None and cache.cached(people[1:]) is not None


async def test_snapshots_are_bounded_by_the_ids_they_hold(world: World) -> None:
    people = [world.user(f"u{n}") for n in range(6)]
    for other in people[2:]:
        world.follow(people[0], other)
        world.follow(people[1], other)
    cache = FollowCache(world.deps.graph, Monotonic(), room=6)
    await cache.get(people[0])
    await cache.get(people[1])
    assert cache.cached(people[0]) is None and cache.cached(people[1]) is not None


async def test_an_announced_follow_drops_an_older_snapshot_only(world: World) -> None:
    """P47"""
    alice, bob = world.user("alice"), world.user("bob")
    version = world.follow(alice, bob)
    await world.deps.follows.get(alice)
    await world.deps.follows.heard(
        events_pb2.FollowSet(follower_id=alice, followee_id=bob, following=True, version=version)
    )
    assert world.deps.follows.cached(alice) is not None
    await world.deps.follows.heard(
        events_pb2.FollowSet(follower_id=alice, followee_id=bob, following=True, version=version + 1)
    )
    assert world.deps.follows.cached(alice) is None


async def test_an_announced_change_that_a_newer_snapshot_lacks_drops_it(world: World) -> None:
    """Two processes changed follows of one account at once: the later version was stored, and read, before the earlier one."""
    alice, bob, carol = world.user("alice"), world.user("bob"), world.user("carol")
    world.follow(alice, bob)
    newer = world.follow(alice, carol)
    await world.deps.follows.get(alice)
    unfollowed = events_pb2.FollowSet(follower_id=alice, followee_id=bob, following=False, version=newer - 1)
    world.follows.discard((alice, bob))
    await world.deps.follows.heard(unfollowed)
    assert bob not in (await world.deps.follows.get(alice, at_least=newer)).followees


async def test_a_snapshot_that_was_on_its_way_when_a_follow_was_announced_is_not_kept(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    gate = Gate()
    world.hold["GetFollowSnapshot"] = gate
    loading = asyncio.ensure_future(world.deps.follows.get(alice))
    await gate.arrived.wait()
    version = world.follow(alice, bob)
    await world.deps.follows.heard(events_pb2.FollowSet(follower_id=alice, followee_id=bob, version=version))
    gate.open()
    await loading
    assert world.deps.follows.cached(alice) is None
    assert bob in (await world.deps.follows.get(alice)).followees


async def test_who_needs_a_change_does_not_take_a_load_that_began_before_it(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    gate = Gate()
    world.hold["GetFollowSnapshot"] = gate
    early = asyncio.ensure_future(world.deps.follows.get(alice))
    await gate.arrived.wait()
    version = world.follow(alice, bob)
    late = asyncio.ensure_future(world.deps.follows.get(alice, at_least=version))
    gate.open()
    assert bob not in (await early).followees
    assert bob in (await late).followees
    kept = world.deps.follows.cached(alice, version)
    assert kept is not None and bob in kept.followees
