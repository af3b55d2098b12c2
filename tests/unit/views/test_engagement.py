"""Counts and flags: every way to see a tweet or an account has them, and nothing depends on svc_engage being there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aviary.view.v1 import view_pb2

from runtime.context import acting, carried
from runtime.errors import ServiceError
from tests.unit.views.world import Gate, World, caller, text
from views.engagement import ENOUGH_S, QUIET_S, _Last

Look = Callable[[World, bytes, bytes], Awaitable[tuple[view_pb2.Tweet, list[str]]]]


async def in_home(world: World, viewer: bytes, tweet: bytes) -> tuple[view_pb2.Tweet, list[str]]:
    return only(await world.home(viewer))


async def in_the_authors_timeline(world: World, viewer: bytes, tweet: bytes) -> tuple[view_pb2.Tweet, list[str]]:
    author = text(world.tweets[tweet].author_id)
    return only(await world.views.GetUserTimeline(view_pb2.GetUserTimelineRequest(user_id=author)))


async def alone(world: World, viewer: bytes, tweet: bytes) -> tuple[view_pb2.Tweet, list[str]]:
    answer = await world.views.GetTweet(view_pb2.GetTweetRequest(tweet_id=text(tweet)))
    return answer.tweet, list(answer.degraded)


async def among_others(world: World, viewer: bytes, tweet: bytes) -> tuple[view_pb2.Tweet, list[str]]:
    return only(await world.views.ListTweets(view_pb2.ListTweetsRequest(ids=[text(tweet)])))


async def among_likes(world: World, viewer: bytes, tweet: bytes) -> tuple[view_pb2.Tweet, list[str]]:
    return only(await world.views.ListUserLikes(view_pb2.ListUserLikesRequest(user_id=text(viewer))))


async def among_bookmarks(world: World, viewer: bytes, tweet: bytes) -> tuple[view_pb2.Tweet, list[str]]:
    return only(await world.views.ListBookmarks(view_pb2.ListBookmarksRequest()))


def only(answer: Any) -> tuple[view_pb2.Tweet, list[str]]:
    (tweet,) = answer.tweets
    return tweet, list(answer.degraded)


LOOKS = [in_home, in_the_authors_timeline, alone, among_others, among_likes, among_bookmarks]


@pytest.mark.parametrize("look", LOOKS)
async def test_every_view_of_a_tweet_has_its_counts_and_the_viewers_flags(world: World, look: Look) -> None:
    """P53"""
    alice, bob, tweet = await story(world)
    with acting(caller(alice)):
        shown, degraded = await look(world, alice, tweet)
    assert (shown.likes_count, shown.liked, shown.bookmarked, degraded) == (2, True, True, [])
    world.mark("like", bob, tweet, present=False)
    with acting(caller(alice)):
        assert (await look(world, alice, tweet))[0].likes_count == 1, "what was cached has no counts"


@pytest.mark.parametrize("look", LOOKS)
async def test_without_svc_engage_tweets_have_the_last_counts_known_and_no_flags(world: World, look: Look) -> None:
    alice, bob, tweet = await story(world)
    with acting(caller(alice)):
        await look(world, alice, tweet)
        world.mark("like", bob, tweet, present=False)
        world.down.add("GetTweetCounts")
        shown, degraded = await look(world, alice, tweet)
        assert (shown.likes_count, shown.liked, shown.bookmarked, degraded) == (2, False, False, ["engagement"])
        world.down.clear()
        shown, degraded = await look(world, alice, tweet)
        assert (shown.likes_count, shown.liked, degraded) == (1, True, [])


async def test_what_nobody_here_ever_counted_has_zeros_while_svc_engage_is_away(world: World) -> None:
    alice, _, tweet = await story(world)
    world.down.add("GetTweetCounts")
    shown, degraded = await alone(world, alice, tweet)
    assert (shown.likes_count, shown.liked, degraded) == (0, False, ["engagement"])


async def test_a_defect_of_svc_engage_is_as_bad_as_its_absence_and_no_worse(world: World) -> None:
    alice, _, tweet = await story(world)

    async def break_down() -> None:
        raise ServiceError("a bug")

    world.hold["GetTweetCounts"] = break_down
    assert (await in_home(world, alice, tweet))[1] == ["engagement"]


async def test_a_page_does_not_wait_for_counts_that_do_not_come(world: World) -> None:
    """The fake never answers: only the bound of half a second lets the page out."""
    alice, _, tweet = await story(world)
    gate = Gate()

    async def never() -> None:
        assert (carried()[1] or 99) <= ENOUGH_S
        await gate()

    world.hold["GetTweetCounts"] = never
    async with asyncio.timeout(20):
        assert (await in_home(world, alice, tweet))[1] == ["engagement"]
        assert gate.arrived.is_set()
        with world.counting() as made:
            assert (await in_home(world, alice, tweet))[1] == ["engagement"]
        assert made["GetTweetCounts"] == 0, "and the next ones do not wait at all, for a second"
    gate.open()
    world.clock.advance(QUIET_S)
    assert (await in_home(world, alice, tweet))[1] == []


async def test_nobody_sees_counts_and_no_flags(world: World) -> None:
    _, _, tweet = await story(world)
    shown, _ = await alone(world, b"", tweet)
    assert (shown.likes_count, shown.liked, shown.bookmarked) == (2, False, False)


async def test_counts_are_asked_while_bodies_and_authors_are_loaded(world: World) -> None:
    alice, _, _ = await story(world)
    bodies = world.hold["GetTweets"] = Gate()
    page = asyncio.ensure_future(world.home(alice))
    await bodies.arrived.wait()
    await world.until(lambda: world.calls["GetTweetCounts"] == 1)
    bodies.open()
    assert len((await page).tweets) == 1


async def test_an_account_has_its_counts_wherever_it_is_looked_at(world: World) -> None:
    alice, bob, _ = await story(world)
    with acting(caller(alice)):
        answers = [
            await world.views.GetMe(view_pb2.GetMeRequest()),
            await world.views.GetUser(view_pb2.GetUserRequest(user_id=text(alice))),
            await world.views.GetUserByUsername(view_pb2.GetUserByUsernameRequest(username="alice")),
        ]
        for answer in answers:
            user = answer.user
            assert (user.followers_count, user.following_count, user.tweets_count) == (0, 1, 0)
            assert not answer.degraded
        bobs = (await world.views.GetUser(view_pb2.GetUserRequest(user_id=text(bob)))).user
        assert (bobs.followers_count, bobs.following_count, bobs.tweets_count) == (1, 0, 1)
        world.down.add("GetUserCounts")
        world.follow(alice, bob, following=False)
        late = await world.views.GetUser(view_pb2.GetUserRequest(user_id=text(bob)))
        assert (late.user.followers_count, list(late.degraded)) == (1, ["engagement"])
        mine = await world.views.GetMe(view_pb2.GetMeRequest())
        assert (mine.user.following_count, mine.user.email, list(mine.degraded)) == (
            1,
            "me@example.org",
            ["engagement"],
        )


def test_the_last_values_known_are_bounded() -> None:
    last = _Last[int, int](10)
    for n in range(100):
        last.keep({n: n})
        assert last.get(n, -1) == n
    assert sum(last.get(n, -1) >= 0 for n in range(100)) <= 20


async def story(world: World) -> tuple[bytes, bytes, bytes]:
    """Alice follows Bob and likes and bookmarked his tweet, which he likes himself."""
    alice, bob = world.user("alice"), world.user("bob")
    world.follow(alice, bob)
    tweet = world.tweet(bob)
    for kind, user in (("like", alice), ("like", bob), ("bookmark", alice)):
        world.mark(kind, user, tweet)
    await world.warm()
    return alice, bob, tweet
