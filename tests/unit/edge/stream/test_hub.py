"""The hub: who gets what, what is noticed as lost, and that REST and the stream agree."""

import asyncio

import grpc
import pytest
from aviary.graph.v1.events_pb2 import RELATION_BLOCK, RELATION_FOLLOW, RELATION_MUTE, RelationChange
from aviary.timeline.v1.events_pb2 import HomeSignal
from aviary.user.v1.events_pb2 import AccountChange
from aviary.user.v1.user_pb2 import USER_STATUS_SUSPENDED
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.stream.hub import UNTOUCHED_FOR_MS
from tests.unit.edge.stream.rig import EDGE, Rig
from tests.unit.views.world import Gate, World, ids, text

P1, P2 = b"1" * 16, b"2" * 16


def signal(sequence: int, tweet: bytes, author: bytes, *readers: bytes, publisher: bytes = P1) -> HomeSignal:
    return HomeSignal(
        edge_id=EDGE,
        publisher_id=publisher,
        sequence=sequence,
        tweet_id=tweet,
        author_id=author,
        reader_ids=b"".join(readers),
    )


HIDES = ("block", "blocked by", "mute", "suspend", "unfollow")


async def hides(world: World, what: str, viewer: bytes, author: bytes, tell: bool = True) -> None:
    """Hide the author from the viewer, as the services do it."""
    if what == "suspend":
        version = world.suspend(author)
        if tell:
            await world.tell_accounts(AccountChange(user_id=author, version=version, status=USER_STATUS_SUSPENDED))
        return
    one, other = (author, viewer) if what == "blocked by" else (viewer, author)
    if what == "unfollow":
        relation, version = RELATION_FOLLOW, world.follow(one, other, following=False)
    elif what == "mute":
        relation, version = RELATION_MUTE, world.mute(one, other)
    else:
        relation, version = RELATION_BLOCK, world.block(one, other)
    if tell:
        change = RelationChange(user_id=one, other_id=other, relation=relation, set=what != "unfollow", version=version)
        await world.tell_relations(change)


async def idle(rig: Rig) -> None:
    """Wait until the hub has nothing under way."""
    await rig.world.until(lambda: not rig.tasks)


async def test_signals_for_readers_who_are_not_here_load_nothing() -> None:
    """P61"""
    rig = Rig()
    bob = rig.world.user("bob")
    await rig.hub.heard(signal(1, rig.world.tweet(bob), bob, b"x" * 16))
    await idle(rig)
    assert not rig.world.calls


async def test_a_gap_in_one_publishers_numbers_brings_every_socket_up_to_date() -> None:
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    rig.world.follow(alice, bob)
    _, wire = rig.socket(alice)
    await rig.hub.heard(signal(1, rig.world.tweet(bob), bob, alice))
    await rig.hub.heard(signal(1, rig.world.tweet(bob), bob, alice, publisher=P2))
    await idle(rig)
    assert rig.world.calls["GetHome"] == 0
    lost = rig.world.tweet(bob)
    await rig.hub.heard(signal(3, rig.world.tweet(bob), bob, alice))
    await idle(rig)
    assert rig.world.calls["GetHome"] == 1 and text(lost) in wire.tweets() and len(set(wire.tweets())) == 4


async def test_after_a_broken_link_every_socket_is_brought_up_to_date() -> None:
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    rig.world.follow(alice, bob)
    _, wire = rig.socket(alice)
    lost = rig.world.tweet(bob)
    rig.hub.link_restored()
    await idle(rig)
    assert wire.tweets() == [text(lost)]


async def test_a_link_that_was_broken_for_too_long_is_a_gap() -> None:
    rig = Rig()
    alice = rig.world.user("alice")
    await rig.world.warm()
    rig.hub.still_linked()
    _, wire = rig.socket(alice)
    rig.clock.ms += 11 * 60_000
    rig.hub.link_restored()
    await idle(rig)
    assert wire.types() == ["gap"]


async def test_when_a_tweet_cannot_be_loaded_its_readers_are_brought_up_to_date_later() -> None:
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    rig.world.follow(alice, bob)
    _, wire = rig.socket(alice)
    tweet = rig.world.tweet(bob)
    gate = Gate()

    async def fail_once() -> None:
        if not gate.arrived.is_set():
            gate.arrived.set()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())

    rig.world.hold["GetTweets"] = fail_once
    await rig.hub.heard(signal(1, tweet, bob, alice))
    await idle(rig)
    assert wire.tweets() == [text(tweet)]


async def test_more_than_a_stream_takes_is_a_gap() -> None:
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    rig.world.follow(alice, bob)
    for _ in range(801):
        rig.world.tweet(bob)
    socket, wire = rig.socket(alice)
    rig.catch_up.start(socket, rig.clock.ms)
    await idle(rig)
    assert wire.types() == ["gap"] and socket.held_at_ms is None


async def test_cursors_stand_still_until_a_catch_up_is_done() -> None:
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    rig.world.follow(alice, bob)
    gate = Gate()
    rig.world.hold["GetHome"] = gate
    socket, wire = rig.socket(alice)
    since = rig.clock.ms - 5000
    missed = rig.world.tweet(bob)
    rig.catch_up.start(socket, since)
    await gate.arrived.wait()
    live = rig.world.tweet(bob)
    await rig.hub.heard(signal(1, live, bob, alice))
    await rig.world.until(lambda: len(wire.sent) == 1)
    assert wire.tweets() == [text(live)] and rig.cursor_of(wire, alice) == since
    gate.open()
    await idle(rig)
    assert wire.tweets() == [text(live), text(missed)]
    socket.ping()
    assert rig.cursor_of(wire, alice) == rig.clock.ms


async def test_tweets_of_one_author_are_sent_in_order_although_loaded_at_once() -> None:
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    rig.world.follow(alice, bob)
    _, wire = rig.socket(alice)
    gate = Gate()

    async def hold_the_first() -> None:
        if not gate.arrived.is_set():
            await gate()

    rig.world.hold["GetTweets"] = hold_the_first
    first, second = rig.world.tweet(bob), rig.world.tweet(bob)
    await rig.hub.heard(signal(1, first, bob, alice))
    await gate.arrived.wait()
    await rig.hub.heard(signal(2, second, bob, alice))
    await rig.world.until(lambda: rig.world.calls["GetTweets"] == 2)
    for _ in range(100):
        await asyncio.sleep(0)
    assert wire.sent == [], "the second waits, loaded"
    gate.open()
    await idle(rig)
    assert wire.tweets() == [text(first), text(second)]


async def test_a_tweet_that_is_deleted_while_it_waits_its_turn_is_not_sent() -> None:
    """P48"""
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    rig.world.follow(alice, bob)
    await rig.world.warm()
    _, wire = rig.socket(alice)
    gate = Gate()

    async def hold_the_first() -> None:
        if not gate.arrived.is_set():
            await gate()

    rig.world.hold["GetTweets"] = hold_the_first
    first, second = rig.world.tweet(bob), rig.world.tweet(bob)
    await rig.hub.heard(signal(1, first, bob, alice))
    await gate.arrived.wait()
    await rig.hub.heard(signal(2, second, bob, alice))
    await rig.world.until(lambda: rig.world.calls["GetTweets"] == 2)
    for _ in range(100):
        await asyncio.sleep(0)
    await rig.world.signal_delete(second)
    gate.open()
    await idle(rig)
    assert wire.tweets() == [text(first)]


@given(
    follows=st.sets(st.integers(0, 3)),
    unfollow=st.sets(st.integers(0, 3)),
    delete=st.sets(st.integers(0, 7)),
    hide=st.lists(st.tuples(st.sampled_from(HIDES), st.integers(0, 3)), max_size=4),
    told=st.booleans(),
)
@settings(deadline=None, max_examples=60)
async def test_the_stream_shows_exactly_what_the_home_shows(
    follows: set[int], unfollow: set[int], delete: set[int], hide: list[tuple[str, int]], told: bool
) -> None:
    """P48: whatever was delivered, followed, unfollowed, blocked, muted, suspended and deleted, both judge alike."""
    rig = Rig()
    world = rig.world
    alice, authors = world.user("alice"), [world.user(f"a{n}") for n in range(4)]
    for n in follows | unfollow:
        world.follow(alice, authors[n])
    tweets = [(world.tweet(authors[n % 4], "t", alice), authors[n % 4]) for n in range(8)]
    await world.warm()
    for n in unfollow - follows:
        world.follow(alice, authors[n], following=False)
    for n in delete:
        await world.signal_delete(tweets[n][0])
    for what, n in hide:
        await hides(world, what, alice, authors[n], told)
    if not told:
        world.clock.advance(1)
    _, wire = rig.socket(alice)
    for sequence, (tweet, author) in enumerate(tweets, 1):
        await rig.hub.heard(signal(sequence, tweet, author, alice))
    await idle(rig)
    assert set(wire.tweets()) == {text(t) for t in ids(await world.home(alice))}


@pytest.mark.parametrize("what", HIDES)
async def test_who_is_hidden_while_the_reader_is_connected_is_hidden_from_the_next_tweet_on(what: str) -> None:
    """P47"""
    rig = Rig()
    world = rig.world
    alice, bob, carol = (world.user(name) for name in ("alice", "bob", "carol"))
    for reader in (alice, carol):
        world.follow(reader, bob)
    await world.warm()
    (_, wire), (_, others) = rig.socket(alice), rig.socket(carol)
    first = world.tweet(bob)
    await rig.hub.heard(signal(1, first, bob, alice, carol))
    await idle(rig)
    await hides(world, what, alice, bob)
    second = world.tweet(bob, "second", alice, carol)
    await rig.hub.heard(signal(2, second, bob, alice, carol))
    await idle(rig)
    assert wire.tweets() == [text(first)]
    assert others.tweets() == [text(t) for t in ([first] if what == "suspend" else [first, second])]


@pytest.mark.parametrize("what", HIDES)
async def test_who_is_hidden_while_a_tweet_waits_its_turn_is_hidden(what: str) -> None:
    """P47: judged when it is sent, not when it is loaded."""
    rig = Rig()
    world = rig.world
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    await world.warm()
    await world.deps.relations.get(alice)
    await world.deps.authors.get([bob])
    _, wire = rig.socket(alice)
    gate = Gate()

    async def hold_the_first() -> None:
        if not gate.arrived.is_set():
            await gate()

    world.hold["GetTweets"] = hold_the_first
    tweets = [world.tweet(bob), world.tweet(bob)]
    await rig.hub.heard(signal(1, tweets[0], bob, alice))
    await gate.arrived.wait()
    await rig.hub.heard(signal(2, tweets[1], bob, alice))
    await world.until(lambda: world.calls["GetTweets"] == 2)
    for _ in range(100):
        await asyncio.sleep(0)
    await hides(world, what, alice, bob)
    gate.open()
    await idle(rig)
    assert wire.tweets() == []


@pytest.mark.parametrize("what", HIDES)
async def test_a_resume_shows_nobody_who_is_hidden_by_now(what: str) -> None:
    """P47"""
    rig = Rig()
    world = rig.world
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    world.follow(alice, carol := world.user("carol"))
    missed, shown = world.tweet(bob), world.tweet(carol)
    await world.warm()
    socket, wire = rig.socket(alice)
    await hides(world, what, alice, bob)
    rig.catch_up.start(socket, rig.clock.ms - 5000)
    await idle(rig)
    assert wire.tweets() == [text(shown)] and text(missed) not in wire.tweets()


@pytest.mark.parametrize("what", ["block", "blocked by", "mute", "unfollow"])
async def test_deletions_of_who_is_hidden_are_not_told(what: str) -> None:
    """P47"""
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    rig.world.follow(alice, bob)
    tweet = rig.world.tweet(bob)
    await rig.world.warm()
    _, wire = rig.socket(alice)
    await hides(rig.world, what, alice, bob)
    await rig.world.signal_delete(tweet)
    await idle(rig)
    assert wire.sent == []


async def test_many_deletions_reach_only_who_follows() -> None:
    rig = Rig()
    alice, bob, carol = (rig.world.user(n) for n in ("alice", "bob", "carol"))
    rig.world.follow(alice, bob)
    tweet = rig.world.tweet(bob)
    wires = {viewer: rig.socket(viewer)[1] for viewer in (alice, bob, carol)}
    await rig.world.signal_delete(tweet)
    await idle(rig)
    assert {v: w.types() for v, w in wires.items()} == {alice: ["tweet_deleted"], bob: ["tweet_deleted"], carol: []}


async def test_who_cannot_be_told_of_a_deletion_gets_a_gap() -> None:
    rig = Rig()
    alice, bob = rig.world.user("alice"), rig.world.user("bob")
    tweet = rig.world.tweet(bob)
    rig.world.down.add("GetViewerSnapshot")
    _, wire = rig.socket(alice)
    await rig.world.signal_delete(tweet)
    await idle(rig)
    assert wire.types() == ["gap"]


async def test_a_removed_socket_gets_nothing() -> None:
    rig = Rig()
    alice = rig.world.user("alice")
    socket, wire = rig.socket(alice)
    rig.hub.remove(socket)
    rig.hub.remove(socket)
    await rig.hub.heard(signal(1, rig.world.tweet(alice), alice, alice))
    await asyncio.sleep(0)
    assert wire.sent == [] and list(rig.hub) == []


async def test_a_tweet_that_comes_late_shows_each_reader_what_that_reader_did_with_it() -> None:
    """P53: who found it elsewhere and liked it must not see it unliked."""
    rig = Rig()
    await rig.world.warm()
    alice, bob, carol = (rig.world.user(name) for name in ("alice", "bob", "carol"))
    for reader in (alice, carol):
        rig.world.follow(reader, bob)
    (_, first), (_, second) = rig.socket(alice), rig.socket(carol)
    for reader in (alice, carol):
        await rig.world.deps.relations.get(reader)
    tweet = rig.world.tweet(bob)
    rig.clock.ms += UNTOUCHED_FOR_MS
    rig.world.mark("like", alice, tweet)
    await rig.hub.heard(signal(1, tweet, bob, alice, carol))
    await idle(rig)
    seen = [(m["data"]["likes_count"], m["data"]["liked"]) for wire in (first, second) for m in wire.sent]
    assert seen == [(1, True), (1, False)]


async def test_a_fresh_tweet_is_counted_once_for_all_its_readers() -> None:
    """P61"""
    rig = Rig()
    await rig.world.warm()
    bob = rig.world.user("bob")
    readers = [rig.world.user(f"r{n}") for n in range(20)]
    for reader in readers:
        rig.world.follow(reader, bob)
    wires = [rig.socket(reader)[1] for reader in readers]
    await rig.hub.heard(signal(1, rig.world.tweet(bob), bob, *readers))
    await idle(rig)
    assert all(wire.sent[0]["data"]["likes_count"] == 0 for wire in wires) and rig.world.calls["GetTweetCounts"] == 1
