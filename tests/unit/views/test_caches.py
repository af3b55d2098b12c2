"""Caches of the view plane: bounded, and never older than they say."""

import asyncio

import pytest
from aviary.tweet.v1.events_pb2 import TweetDeleted
from aviary.user.v1.events_pb2 import AccountChange, AccountChanged
from aviary.user.v1.user_pb2 import USER_STATUS_ACTIVE, USER_STATUS_SUSPENDED
from grpc import aio

from runtime.errors import DeadlineExceeded
from simulation.bus import MemoryBus
from tests.unit.views.world import Gate, World, ids
from views.build import listen
from views.caches import AuthorCache, TweetCache


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


def changed(world: World, user_id: bytes, version: int = 0) -> AccountChange:
    return AccountChange(user_id=user_id, version=version, status=world.users[user_id].status)


async def test_an_account_that_is_told_to_have_changed_is_asked_for_again(world: World) -> None:
    alice = world.user("alice")
    await world.warm()
    await world.deps.authors.get([alice])
    world.users[alice].display_name = "Alicia"
    assert (await world.deps.authors.get([alice]))[alice].user.display_name == "Alice"
    await world.tell_accounts(changed(world, alice))
    assert (await world.deps.authors.get([alice]))[alice].user.display_name == "Alicia"
    assert world.deps.authors.cached([alice]) is not None


async def test_who_is_told_to_be_suspended_is_hidden_also_while_the_account_cannot_be_asked_for(world: World) -> None:
    """P20"""
    alice = world.user("alice")
    await world.warm()
    await world.deps.authors.get([alice])
    world.down.add("GetUsers")
    world.suspend(alice)
    await world.tell_accounts(changed(world, alice))
    assert (await world.deps.authors.get([alice]))[alice].hidden
    world.down.clear()
    world.suspend(alice, USER_STATUS_ACTIVE)
    assert not (await world.deps.authors.get([alice]))[alice].hidden, "what its owner says counts more"


async def test_an_account_that_was_read_before_it_was_suspended_is_not_believed_afterwards(world: World) -> None:
    """P20: the answer arrives after the signal, and after the answer to who asked later."""
    alice = world.user("alice")
    await world.warm()
    gate = Gate()
    world.hold["GetUsers"] = gate
    early = asyncio.ensure_future(world.deps.authors.get([alice]))
    await gate.arrived.wait()
    world.suspend(alice)
    await world.tell_accounts(changed(world, alice))
    gate.open()
    await early
    assert (await world.deps.authors.get([alice]))[alice].hidden


async def test_a_suspension_that_nobody_told_is_noticed_within_a_second(world: World) -> None:
    """P20: NATS is away, or a signal was lost."""
    alice = world.user("alice")
    await world.warm()
    await world.deps.authors.get([alice])
    world.suspend(alice)
    world.clock.advance(1)
    assert (await world.deps.authors.get([alice]))[alice].hidden
    await world.warm()
    world.suspend(alice, USER_STATUS_ACTIVE)
    await world.deps.authors.get([alice])
    world.told_accounts += 1
    await world.heartbeat()
    assert not (await world.deps.authors.get([alice]))[alice].hidden, "after a gap all is asked for"


async def test_after_one_who_waited_for_accounts_in_vain_others_do_not_wait_for_a_second(world: World) -> None:
    """P82: svc_user hangs."""

    async def hang() -> None:
        raise DeadlineExceeded("svc_user hangs")

    alice = world.user("alice")
    await world.deps.authors.get([alice])
    world.hold["GetUsers"] = hang
    for waited in (1, 0.9):
        world.clock.advance(waited)
        assert alice in await world.deps.authors.get([alice])
    assert world.calls["GetUsers"] == 2
    assert alice in await world.deps.authors.get([alice], fresh=[alice]), "one's own is asked for all the same"
    with pytest.raises(aio.AioRpcError):
        await world.deps.authors.get([world.user("bob")])
    del world.hold["GetUsers"]
    world.clock.advance(1)
    await world.deps.authors.get([alice])
    assert world.calls["GetUsers"] == 5


async def test_while_signals_are_missing_an_account_is_asked_for_twice_a_second(world: World) -> None:
    alice = world.user("alice")
    await world.deps.authors.get([alice])
    world.clock.advance(0.4)
    assert world.deps.authors.cached([alice]) is not None
    world.clock.advance(0.2)
    assert world.deps.authors.cached([alice]) is None


async def test_an_announced_change_that_nobody_signalled_is_known(world: World) -> None:
    alice = world.user("alice")
    bus = MemoryBus()
    await listen(world.deps, bus)
    await world.warm()
    await world.deps.authors.get([alice])
    world.suspend(alice)
    await bus.publish(AccountChanged(event_id=b"e" * 16, user_id=alice, status=USER_STATUS_SUSPENDED))
    assert (await world.deps.authors.get([alice]))[alice].hidden
