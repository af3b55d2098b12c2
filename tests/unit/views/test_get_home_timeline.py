"""GetHomeTimeline: what is shown, how fresh it is, and how many calls it takes."""

import asyncio

import grpc
import pytest
from grpc import aio

from runtime.errors import from_rpc
from tests.unit.views.world import Gate, World, ids, text
from views.hydrate import DANGLING


async def story(world: World) -> tuple[bytes, bytes, list[bytes]]:
    """Alice follows Bob, who wrote five tweets; everything is warm."""
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    tweets = [world.tweet(bob, f"tweet {n}") for n in range(5)]
    await world.warm()
    assert ids(await world.home(alice)) == tweets[::-1]
    return alice, bob, tweets


async def test_a_page_shows_whole_tweets_newest_first(world: World) -> None:
    alice, bob, tweets = await story(world)
    page = await world.home(alice, limit=2)
    assert ids(page) == tweets[:-3:-1]
    assert page.has_more and page.next_max_id == text(tweets[3])
    shown = page.tweets[0]
    assert (shown.content, shown.user_id, shown.user.username, shown.user.display_name) == (
        "tweet 4",
        text(bob),
        "bob",
        "Bob",
    )
    assert shown.tweet_type == 1 and shown.likes_count == 0 and not shown.user.HasField("profile_image_url")
    assert shown.created_at == shown.updated_at and shown.created_at.ToMilliseconds() > 0


async def test_pages_join_without_overlap(world: World) -> None:
    """P31"""
    alice, bob, tweets = await story(world)
    first = await world.home(alice, limit=2)
    world.tweet(bob, "came between the pages")
    second = await world.home(alice, limit=200, max_id=first.next_max_id)
    assert ids(first) + ids(second) == tweets[::-1]
    assert not second.has_more and not second.HasField("next_max_id")


async def test_since_id_is_strict(world: World) -> None:
    alice, _, tweets = await story(world)
    assert ids(await world.home(alice, since_id=text(tweets[2]))) == [tweets[4], tweets[3]]


async def test_a_warm_page_is_two_rpcs(world: World) -> None:
    alice, _, _ = await story(world)
    with world.counting() as made:
        await world.home(alice, limit=20)
    assert made == {"GetHome": 1, "GetTweetCounts": 1}


async def test_while_signals_are_missing_all_is_asked_again_in_one_batch(world: World) -> None:
    alice, _, _ = await story(world)
    world.clock.advance(1)
    with world.counting() as made:
        await world.home(alice, limit=20)
    assert made == {"GetHome": 1, "GetTweets": 1, "GetUsers": 1, "CompareSnapshots": 1, "GetTweetCounts": 1}
    assert world.unchanged == 1, "what did not change is not sent again"


async def test_nobody_has_no_home(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.home(b"")
    assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_anothers_user_id_is_refused(world: World) -> None:
    alice, bob, _ = await story(world)
    with pytest.raises(aio.AioRpcError) as failure:
        await world.home(alice, user_id=text(bob))
    assert from_rpc(failure.value).reason == "NOT_YOUR_USER_ID"


async def test_a_signalled_deletion_is_hidden_without_asking(world: World) -> None:
    """P18"""
    alice, _, tweets = await story(world)
    await world.signal_delete(tweets[2])
    with world.counting() as made:
        assert tweets[2] not in ids(await world.home(alice))
    assert "GetTweets" not in made


async def test_a_deletion_whose_signal_was_lost_is_hidden_after_the_silence(world: World) -> None:
    """P18: the publisher could not tell, and answered only when every cache had noticed."""
    alice, _, tweets = await story(world)
    world.delete(tweets[2])
    assert tweets[2] in ids(await world.home(alice)), "believed: heartbeats came until now"
    world.clock.advance(1)
    assert tweets[2] not in ids(await world.home(alice))


async def test_a_deletion_that_arrives_while_the_body_is_loading_wins(world: World) -> None:
    """P19: the answer was read before the deletion and arrives after its signal."""
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    tweet = world.tweet(bob)
    await world.warm()
    gate = Gate()
    world.hold["GetTweets"] = gate
    reading = asyncio.ensure_future(world.home(alice))
    await gate.arrived.wait()
    await world.signal_delete(tweet)
    gate.open()
    assert ids(await reading) == []
    assert ids(await world.home(alice)) == []


async def test_a_status_that_was_read_before_a_gap_is_asked_again(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    tweet = world.tweet(bob)
    await world.warm()
    gate = Gate()
    world.hold["GetTweets"] = gate
    reading = asyncio.ensure_future(world.home(alice))
    await gate.arrived.wait()
    world.delete(tweet)
    world.clock.advance(1)
    await world.heartbeat()
    gate.open()
    await reading
    assert ids(await world.home(alice)) == []


async def test_ones_own_deletion_is_hidden_at_once(world: World) -> None:
    alice, _, _ = await story(world)
    mine = world.tweet(alice, "mine")
    assert mine in ids(await world.home(alice))
    world.delete(mine)
    world.recent_deletes[alice] = [mine]
    assert mine not in ids(await world.home(alice))


async def test_when_recent_writes_are_unknown_ones_own_tweets_and_follows_are_asked(world: World) -> None:
    alice, bob, _ = await story(world)
    mine = world.tweet(alice, "mine")
    assert mine in ids(await world.home(alice))
    world.delete(mine)
    world.follow(alice, bob, following=False)
    world.recent_unknown = True
    assert ids(await world.home(alice)) == []


async def test_tweets_of_who_was_unfollowed_vanish_at_once(world: World) -> None:
    alice, bob, _ = await story(world)
    world.recent_versions[alice] = world.follow(alice, bob, following=False)
    assert ids(await world.home(alice)) == []


async def test_an_old_snapshot_is_read_again(world: World) -> None:
    alice, bob, tweets = await story(world)
    world.follow(alice, bob, following=False)
    assert len(ids(await world.home(alice))) == len(tweets), "nobody told, and it is younger than 30 s"
    world.clock.advance(30.1)
    assert ids(await world.home(alice)) == []


async def test_entries_without_tweet_or_author_are_skipped_and_counted(world: World) -> None:
    """P25"""
    alice, _, tweets = await story(world)
    ghost = world.user("ghost")
    world.follow(alice, ghost)
    world.recent_versions[alice] = world.versions[alice]
    no_author, no_tweet = world.tweet(ghost), world.tweet(ghost)
    del world.users[ghost], world.tweets[no_tweet]
    before = DANGLING.labels("tweet")._value.get(), DANGLING.labels("author")._value.get()
    assert ids(await world.home(alice)) == tweets[::-1]
    assert no_author not in ids(await world.home(alice))
    after = DANGLING.labels("tweet")._value.get(), DANGLING.labels("author")._value.get()
    assert after[0] > before[0] and after[1] > before[1]


async def test_a_page_is_refilled_when_its_top_is_hidden(world: World) -> None:
    """P22, P32"""
    alice, _, tweets = await story(world)
    for tweet in tweets[2:]:
        await world.signal_delete(tweet)
    page = await world.home(alice, limit=2)
    assert ids(page) == [tweets[1], tweets[0]] and not page.has_more


async def test_a_home_in_which_all_is_hidden_ends_truly(world: World) -> None:
    """P32"""
    alice, bob, _ = await story(world)
    world.recent_versions[alice] = world.follow(alice, bob, following=False)
    seen, position = 0, None
    for _ in range(10):
        page = await world.home(alice, limit=1, **({"max_id": position} if position else {}))
        seen += len(page.tweets)
        if not page.has_more:
            break
        position = page.next_max_id
    assert seen == 0 and not page.has_more


async def test_a_new_name_of_an_author_shows_within_a_minute(world: World) -> None:
    alice, bob, _ = await story(world)
    world.users[bob].display_name = "Robert"
    world.clock.advance(61)
    assert (await world.home(alice)).tweets[0].user.display_name == "Robert"


async def test_old_names_serve_while_accounts_do_not_answer(world: World) -> None:
    alice, _, tweets = await story(world)
    world.down.add("GetUsers")
    world.clock.advance(61)
    assert ids(await world.home(alice)) == tweets[::-1]


async def test_old_follows_serve_while_the_graph_does_not_answer(world: World) -> None:
    """P82"""
    alice, _, tweets = await story(world)
    world.down |= {"GetViewerSnapshot", "CompareSnapshots"}
    world.clock.advance(31)
    assert ids(await world.home(alice)) == tweets[::-1]


async def test_follows_older_than_the_readers_own_change_do_not_serve(world: World) -> None:
    alice, bob, _ = await story(world)
    world.recent_versions[alice] = world.follow(alice, bob, following=False)
    world.down.add("GetViewerSnapshot")
    with pytest.raises(aio.AioRpcError) as failure:
        await world.home(alice)
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_dead_dependency_is_a_clear_error(world: World) -> None:
    alice, _, _ = await story(world)
    world.down.add("GetTweets")
    world.clock.advance(1)
    with pytest.raises(aio.AioRpcError) as failure:
        await world.home(alice)
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    assert from_rpc(failure.value).reason == "DEPENDENCY_UNAVAILABLE"
    assert from_rpc(failure.value).retry_after_s == 1


async def test_identical_loads_in_flight_are_one(world: World) -> None:
    bob = world.user("bob")
    readers = [world.user(f"reader{n}") for n in range(8)]
    for reader in readers:
        world.follow(reader, bob)
    tweets = [world.tweet(bob) for _ in range(3)]
    await world.warm()
    gate = Gate()
    world.hold["GetTweets"] = gate
    pages = [asyncio.ensure_future(world.home(reader)) for reader in readers]
    await gate.arrived.wait()
    await world.until(lambda: world.calls["GetViewerSnapshot"] == len(readers))
    gate.open()
    for page in await asyncio.gather(*pages):
        assert ids(page) == tweets[::-1]
    assert world.calls["GetTweets"] == 1 and world.calls["GetUsers"] == 1


async def test_who_started_a_shared_load_may_leave(world: World) -> None:
    alice, bob = world.user("alice"), world.user("bob")
    tweet = world.tweet(bob)
    world.follow(alice, bob)
    await world.warm()
    gate = Gate()
    world.hold["GetTweets"] = gate
    first = asyncio.ensure_future(world.home(bob))
    await gate.arrived.wait()
    second = asyncio.ensure_future(world.deps.tweets.get([tweet]))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    gate.open()
    assert tweet in await second
    assert world.calls["GetTweets"] == 1
