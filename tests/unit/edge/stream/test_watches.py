"""Watched tweets: who is told which counts when, what is asked how often, and what nobody is shown."""

import asyncio
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from aviary.engage.v1.events_pb2 import CountsChanged
from aviary.graph.v1.events_pb2 import RELATION_BLOCK, RelationChange
from aviary.user.v1.events_pb2 import AccountChange
from aviary.user.v1.user_pb2 import USER_STATUS_SUSPENDED
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.stream import watches
from simulation.loop import SimulatedLoop
from tests.unit.edge.stream.rig import FakeWire, Rig
from tests.unit.views.world import text


async def changed(rig: Rig, *tweets: bytes) -> None:
    """As svc_engage tells it: one signal for each partition."""
    for tweet in tweets:
        await rig.bus.signal(CountsChanged(partition=partition(tweet), subject_ids=[tweet]))


def partition(tweet: bytes) -> bytes:
    return (zlib.crc32(tweet) % 256).to_bytes(2)


def told(wire: FakeWire) -> list[tuple[str, Any]]:
    """What was said of which tweet, and forget it: likes, or that it is gone."""
    said = [(m["data"]["tweet_id"], m["data"].get("likes_count", "gone")) for m in wire.sent]
    wire.sent.clear()
    return said


async def story(tweets: int = 1) -> tuple[Rig, bytes, list[bytes]]:
    rig = Rig()
    await rig.world.warm()
    bob = rig.world.user("bob")
    return rig, bob, [rig.world.tweet(bob) for _ in range(tweets)]


async def test_the_counts_come_at_once_and_whenever_they_changed() -> None:
    rig, bob, (tweet,) = await story()
    socket, wire = rig.socket(rig.world.user("alice"))
    rig.watches.watch(socket, {tweet})
    await rig.watches.round()
    zeros = dict.fromkeys(("likes_count", "retweets_count", "replies_count", "quote_tweets_count"), 0)
    assert [m["data"] for m in wire.sent] == [{"tweet_id": text(tweet), **zeros}] and wire.types() == ["counts"]
    told(wire)
    rig.clock.ms += 5000
    rig.world.mark("like", bob, tweet)
    await rig.watches.round()
    assert told(wire) == [], "nothing was announced"
    await changed(rig, tweet)
    await rig.watches.round()
    assert told(wire) == [(text(tweet), 1)]
    rig.clock.ms += 5000
    await changed(rig, tweet)
    await rig.watches.round()
    assert told(wire) == [], "the same again is no news"


async def test_a_tweet_that_changes_all_the_time_is_told_once_a_second_with_its_last_value() -> None:
    """P54"""
    rig, _, (tweet,) = await story()
    socket, wire = rig.socket(rig.world.user("alice"))
    rig.watches.watch(socket, {tweet})
    await rig.watches.round()
    rig.clock.ms += watches.EVERY_MS
    told(wire)
    fans = [rig.world.user(f"fan{n}") for n in range(20)]
    with rig.world.counting() as made:
        for fan in fans:
            rig.world.mark("like", fan, tweet)
            await changed(rig, tweet)
            await rig.watches.round()
            rig.clock.ms += watches.EVERY_MS // 10
        rig.clock.ms += watches.EVERY_MS
        await rig.watches.round()
    assert told(wire) == [(text(tweet), 1), (text(tweet), 11), (text(tweet), 20)]
    assert made["GetTweetCounts"] == 3


async def test_who_begins_to_watch_does_not_make_others_be_told_more_often() -> None:
    rig, bob, (tweet,) = await story()
    (first, first_wire), (second, second_wire) = (rig.socket(rig.world.user(f"r{n}")) for n in range(2))
    rig.watches.watch(first, {tweet})
    await rig.watches.round()
    told(first_wire)
    rig.world.mark("like", bob, tweet)
    await changed(rig, tweet)
    rig.watches.watch(second, {tweet})
    await rig.watches.round()
    assert (told(first_wire), told(second_wire)) == ([], [(text(tweet), 1)])
    rig.clock.ms += watches.EVERY_MS
    await rig.watches.round()
    assert told(first_wire) == [(text(tweet), 1)]


async def test_what_many_sockets_watch_is_asked_for_once() -> None:
    """P61"""
    rig, _, tweets = await story(500)
    sockets = [rig.socket(rig.world.user(f"r{n}")) for n in range(6)]
    for n, (socket, _) in enumerate(sockets):
        rig.watches.watch(socket, tweets[n * 60 : n * 60 + 200])
    with rig.world.counting() as made:
        await rig.watches.round()
    assert made["GetTweetCounts"] == 2, "500 tweets, 400 a question, however many sockets"
    for n, (_, wire) in enumerate(sockets):
        assert {tweet for tweet, _ in told(wire)} == set(map(text, tweets[n * 60 : n * 60 + 200]))


async def test_only_partitions_of_watched_tweets_are_heard_and_only_while_they_are() -> None:
    """P61"""
    rig, _, tweets = await story(300)
    socket, _ = rig.socket(rig.world.user("alice"))
    heard = rig.watches._heard
    rig.watches.watch(socket, set(tweets[:3]))
    await rig.watches.round()
    assert set(heard) == {int.from_bytes(partition(t)) for t in tweets[:3]}
    rig.watches.watch(socket, set(tweets[3:]))
    await rig.watches.round()
    assert set(heard) == {int.from_bytes(partition(t)) for t in tweets[3:]}
    rig.watches.forget(socket)
    await rig.watches.round()
    assert not heard and not len(rig.watches) and not any(rig.bus._listeners.values())


async def test_a_new_watch_replaces_the_old_one_and_is_answered_whole() -> None:
    rig, bob, tweets = await story(3)
    socket, wire = rig.socket(rig.world.user("alice"))
    rig.watches.watch(socket, set(tweets[:2]))
    await rig.watches.round()
    told(wire)
    rig.watches.watch(socket, set(tweets[1:]))
    await rig.watches.round()
    assert sorted(told(wire)) == [(text(t), 0) for t in tweets[1:]]
    rig.clock.ms += 5000
    for tweet in tweets:
        rig.world.mark("like", bob, tweet)
    await changed(rig, *tweets)
    await rig.watches.round()
    assert sorted(told(wire)) == [(text(t), 1) for t in tweets[1:]]


async def test_what_rest_would_hide_is_told_as_deleted_and_nothing_more() -> None:
    """P18, P48"""
    rig, bob, (kept, gone) = await story(2)
    rig.world.delete(gone)
    for tweet in (kept, gone):
        rig.world.mark("like", bob, tweet)
    socket, wire = rig.socket(rig.world.user("alice"))
    unknown = b"x" * 16
    for _ in range(2):
        rig.watches.watch(socket, {kept, gone, unknown})
        await rig.watches.round()
        assert sorted(told(wire), key=str) == sorted(
            [(text(kept), 1), (text(gone), "gone"), (text(unknown), "gone")], key=str
        ), "asked again, it is said again"
    rig.clock.ms += 5000
    await changed(rig, gone, unknown)
    await rig.watches.round()
    assert told(wire) == []


async def test_a_deletion_reaches_watchers_who_follow_nobody_once() -> None:
    """P18, P62"""
    rig, bob, (tweet,) = await story()
    alice = rig.world.user("alice")
    rig.world.follow(alice, bob)
    (follower, follower_wire), (stranger, stranger_wire) = rig.socket(alice), rig.socket(rig.world.user("carol"))
    for socket in (follower, stranger):
        rig.watches.watch(socket, {tweet})
    await rig.watches.round()
    told(follower_wire), told(stranger_wire)
    await rig.world.signal_delete(tweet)
    await rig.world.until(lambda: not rig.tasks)
    assert told(follower_wire) == told(stranger_wire) == [(text(tweet), "gone")]
    rig.world.mark("like", bob, tweet)
    rig.clock.ms += 5000
    await changed(rig, tweet)
    await rig.watches.round()
    assert told(follower_wire) == told(stranger_wire) == []


async def test_a_deletion_that_is_heard_while_counts_are_on_their_way_wins() -> None:
    """P19"""
    rig, _, (tweet,) = await story()
    socket, wire = rig.socket(rig.world.user("alice"))

    async def delete_meanwhile() -> None:
        del rig.world.hold["GetTweetCounts"]
        await rig.world.signal_delete(tweet)

    rig.world.hold["GetTweetCounts"] = delete_meanwhile
    rig.watches.watch(socket, {tweet})
    await rig.watches.round()
    assert told(wire) == [(text(tweet), "gone")]


@pytest.mark.parametrize("away", ["GetTweetCounts", "GetTweets"])
async def test_what_cannot_be_asked_now_is_told_when_it_can(away: str) -> None:
    rig, bob, (first, second) = await story(2)
    socket, wire = rig.socket(rig.world.user("alice"))
    rig.watches.watch(socket, {first})
    await rig.watches.round()
    told(wire)
    rig.world.down.add(away)
    rig.world.clock.advance(2)
    rig.clock.ms += 5000
    rig.world.mark("like", bob, first)
    await changed(rig, first)
    rig.watches.watch(socket, {first, second})
    assert not await rig.watches.round() and told(wire) == []
    rig.world.down.clear()
    assert await rig.watches.round()
    assert sorted(told(wire)) == [(text(first), 1), (text(second), 0)]


async def test_after_a_broken_link_everything_watched_is_asked_for_again() -> None:
    """P59, P62: what changed meanwhile was heard by nobody."""
    rig, bob, (tweet,) = await story()
    socket, wire = rig.socket(rig.world.user("alice"))
    rig.watches.watch(socket, {tweet})
    await rig.watches.round()
    told(wire)
    rig.clock.ms += 5000
    rig.world.mark("like", bob, tweet)
    rig.bus.reconnect()
    await rig.watches.round()
    assert told(wire) == [(text(tweet), 1)]


async def test_what_is_watched_while_the_bus_is_away_is_heard_once_it_is_back(monkeypatch: Any) -> None:
    rig, bob, (tweet,) = await story()
    socket, wire = rig.socket(rig.world.user("alice"))
    listen = rig.bus.listen

    async def away(*_: Any, **__: Any) -> Any:
        raise watches.Unavailable("NATS is away")

    monkeypatch.setattr(rig.bus, "listen", away)
    rig.watches.watch(socket, {tweet})
    await rig.watches.round()
    assert told(wire) == [(text(tweet), 0)], "the answer does not need the bus"
    monkeypatch.setattr(rig.bus, "listen", listen)
    rig.clock.ms += 5000
    rig.bus.reconnect()
    await rig.watches.round()
    rig.clock.ms += 5000
    rig.world.mark("like", bob, tweet)
    await changed(rig, tweet)
    await rig.watches.round()
    assert told(wire) == [(text(tweet), 1)]


def test_who_asks_without_pause_makes_nobody_be_asked_without_pause() -> None:
    """A thousand messages of one client in a second, each with a tweet that is new on its screen; rounds are counted, not time."""

    async def main() -> int:
        rig, _, tweets = await story(2)
        socket, _ = rig.socket(rig.world.user("alice"))
        rounds, once = 0, rig.watches.round

        async def noted() -> bool:
            nonlocal rounds
            rounds += 1
            return await once()

        asked: Any = rig.watches
        asked.round = noted
        running = asyncio.create_task(rig.watches.run())
        for number in range(1000):
            rig.watches.watch(socket, {tweets[number % 2]})
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return rounds

    assert 10 < SimulatedLoop().run(main()) < 25  # type: ignore[abstract]  # what it lacks nobody here calls


async def test_what_a_reader_watches_before_the_greeting_is_answered_after_it() -> None:
    rig, _, (tweet,) = await story()
    wire = FakeWire()
    door = rig.doorkeeper()
    socket = door.enter(wire, rig.grant(rig.world.user("alice")), None)
    door.watch(socket, {tweet})
    await rig.watches.round()
    assert wire.types() == []
    await rig.world.until(lambda: not rig.tasks)
    await rig.watches.round()
    assert wire.types() == ["hello", "counts"]
    door.leave(socket)
    assert not len(rig.watches)


STEPS = st.lists(
    st.tuples(st.sampled_from(["watch", "like", "tick", "leave", "delete"]), st.integers(0, 2), st.integers(0, 3)),
    max_size=40,
)


@given(steps=STEPS)
@settings(deadline=None, max_examples=60)
async def test_after_any_story_every_screen_shows_what_is_true(steps: list[tuple[str, int, int]]) -> None:
    """P62: state shown before plus messages is the state fetched fresh."""
    rig, _, tweets = await story(4)
    sockets = [rig.socket(rig.world.user(f"r{n}")) for n in range(3)]
    fans = iter([rig.world.user(f"fan{n}") for n in range(len(steps))])
    screens: list[dict[str, Any]] = [{}, {}, {}]
    for step, who, which in steps:
        socket, _ = sockets[who]
        if step == "watch":
            wanted = tweets[which:]
            rig.watches.watch(socket, set(wanted))
            screens[who] = {text(t): screens[who].get(text(t)) for t in wanted}
        elif step == "leave":
            rig.watches.forget(socket)
            screens[who] = {}
        elif step == "like":
            rig.world.mark("like", next(fans), tweets[which])
            await changed(rig, tweets[which])
        elif step == "delete" and not rig.world.tweets[tweets[which]].deleted:
            await rig.world.signal_delete(tweets[which])
        else:
            rig.clock.ms += 400
            await rig.watches.round()
        read(sockets, screens)
    for _ in range(2):
        rig.clock.ms += watches.EVERY_MS
        await rig.watches.round()
    read(sockets, screens)
    for screen in screens:
        assert screen == {t: truth(rig, t, tweets) for t in screen}


def read(sockets: list[tuple[Any, FakeWire]], screens: list[dict[str, Any]]) -> None:
    for (_, wire), screen in zip(sockets, screens, strict=True):
        for tweet, likes in told(wire):
            assert tweet in screen, "nobody is told what is not watched"
            screen[tweet] = likes


def truth(rig: Rig, tweet: str, tweets: list[bytes]) -> Any:
    (key,) = (t for t in tweets if text(t) == tweet)
    return "gone" if rig.world.tweets[key].deleted else likes_of(rig, key)


def likes_of(rig: Rig, tweet: bytes) -> int:
    def marks() -> Iterator[bytes]:
        return (marked for _, marked in rig.world.marks["like"])

    return sum(1 for marked in marks() if marked == tweet)


@pytest.mark.parametrize("blocker", ["reader", "author"])
async def test_counts_of_who_is_behind_a_block_are_told_as_gone_to_that_reader_alone(blocker: str) -> None:
    """P47"""
    rig, bob, (tweet, other) = await story(2)
    world = rig.world
    alice, carol = world.user("alice"), world.user("carol")
    (first, wire), (second, others) = rig.socket(alice), rig.socket(carol)
    for socket in (first, second):
        rig.watches.watch(socket, {tweet, other})
    await rig.watches.round()
    assert len(told(wire)) == len(told(others)) == 2
    one, two = (alice, bob) if blocker == "reader" else (bob, alice)
    change = RelationChange(user_id=one, other_id=two, relation=RELATION_BLOCK, set=True, version=world.block(one, two))
    await world.tell_relations(change)
    rig.clock.ms += 5000
    world.mark("like", carol, tweet)
    await changed(rig, tweet)
    await rig.watches.round()
    assert told(wire) == [(text(tweet), "gone")] and told(others) == [(text(tweet), 1)]
    rig.clock.ms += 5000
    world.mark("like", carol, other)
    await changed(rig, tweet, other)
    await rig.watches.round()
    assert told(wire) == [(text(other), "gone")] and told(others) == [(text(other), 1)]
    assert len(rig.watches) == 2


async def test_counts_of_who_is_suspended_are_told_as_gone() -> None:
    """P20"""
    rig, bob, (tweet,) = await story()
    socket, wire = rig.socket(rig.world.user("alice"))
    rig.watches.watch(socket, {tweet})
    await rig.watches.round()
    told(wire)
    version = rig.world.suspend(bob)
    await rig.world.tell_accounts(AccountChange(user_id=bob, version=version, status=USER_STATUS_SUSPENDED))
    rig.clock.ms += 5000
    await changed(rig, tweet)
    await rig.watches.round()
    assert told(wire) == [(text(tweet), "gone")]
