"""Who is hidden from whom, where: blocks in both directions, mutes and suspensions on every list that exists, before and after."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from aviary.graph.v1.events_pb2 import RELATION_BLOCK, RELATION_MUTE, RelationChange
from aviary.user.v1.events_pb2 import AccountChange
from aviary.user.v1.user_pb2 import USER_STATUS_ACTIVE, USER_STATUS_DELETED, USER_STATUS_SUSPENDED
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, ids, text


class Cast:
    """Alice looks; Bob is the one who may be hidden; Carol is a stranger to both whom both like."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.alice, self.bob, self.carol = world.user("alice"), world.user("bob"), world.user("carol")
        world.follow(self.alice, self.bob)
        world.follow(self.bob, self.carol)
        world.follow(self.carol, self.bob)
        self.tweet = world.tweet(self.bob, "by bob", self.alice)
        self.other = world.tweet(self.carol)
        world.mark("like", self.bob, self.other)
        world.mark("like", self.carol, self.tweet)
        world.mark("bookmark", self.alice, self.tweet)
        world.users[self.bob].bio = "about bob"
        world.users[self.bob].profile_image_url = "https://example.org/bob.png"

    async def ask(self, rpc: str, viewer: bytes | None = None, **fields: object) -> object:
        name = f"{rpc}Request"
        with acting(caller(self.alice if viewer is None else viewer)):
            return await getattr(self.world.views, rpc)(getattr(view_pb2, name)(**fields))


async def in_home(cast: Cast) -> bool:
    return cast.tweet in ids(await cast.world.home(cast.alice))


async def in_timeline(cast: Cast) -> bool:
    page = await cast.ask("GetUserTimeline", user_id=text(cast.bob))
    return cast.tweet in ids(page)


async def by_id(cast: Cast) -> bool:
    try:
        await cast.ask("GetTweet", tweet_id=text(cast.tweet))
    except aio.AioRpcError as error:
        assert from_rpc(error).reason == "TWEET_NOT_FOUND"
        return False
    return True


async def by_ids(cast: Cast) -> bool:
    page = await cast.ask("ListTweets", ids=[text(cast.tweet), text(cast.other)])
    assert cast.other in ids(page)
    if cast.tweet not in ids(page):
        assert [(e.tweet_id, e.reason) for e in page.errors] == [(text(cast.tweet), "TWEET_NOT_FOUND")]  # type: ignore[attr-defined]
    return cast.tweet in ids(page)


async def in_bookmarks(cast: Cast) -> bool:
    return cast.tweet in ids(await cast.ask("ListBookmarks"))


async def in_anothers_likes(cast: Cast) -> bool:
    return cast.tweet in ids(await cast.ask("ListUserLikes", user_id=text(cast.carol)))


async def in_own_likes(cast: Cast) -> bool:
    return cast.other in ids(await cast.ask("ListUserLikes", user_id=text(cast.bob)))


async def among_likers(cast: Cast) -> bool:
    page = await cast.ask("ListTweetLikes", tweet_id=text(cast.other))
    return text(cast.bob) in [u.user_id for u in page.users]  # type: ignore[attr-defined]


async def likers_of_the_tweet(cast: Cast) -> bool:
    try:
        await cast.ask("ListTweetLikes", tweet_id=text(cast.tweet))
    except aio.AioRpcError as error:
        assert from_rpc(error).reason == "TWEET_NOT_FOUND"
        return False
    return True


async def among_followers(cast: Cast) -> bool:
    page = await cast.ask("ListFollowers", user_id=text(cast.carol))
    return text(cast.bob) in [u.user_id for u in page.followers]  # type: ignore[attr-defined]


async def among_followed(cast: Cast) -> bool:
    page = await cast.ask("ListFollowing", user_id=text(cast.carol))
    return text(cast.bob) in [u.user_id for u in page.following]  # type: ignore[attr-defined]


async def profile(cast: Cast) -> bool:
    await cast.ask("GetUser", user_id=text(cast.bob))
    return True


Surface = Callable[[Cast], Awaitable[bool]]
SURFACES: tuple[Surface, ...] = (
    in_home,
    in_timeline,
    by_id,
    by_ids,
    in_bookmarks,
    in_anothers_likes,
    in_own_likes,
    among_likers,
    likers_of_the_tweet,
    among_followers,
    among_followed,
    profile,
)
NOWHERE_BUT = {profile}
SHOWN: dict[str, set[Surface]] = {
    "alice blocks bob": NOWHERE_BUT,
    "bob blocks alice": NOWHERE_BUT,
    "alice mutes bob": {
        profile, in_timeline, by_id, by_ids, in_bookmarks, in_own_likes, likers_of_the_tweet, among_followers, among_followed
    },
    "bob mutes alice": set(SURFACES),
    "bob is suspended": NOWHERE_BUT,
    "bob is limited": set(SURFACES),
}  # fmt: skip


async def do(cast: Cast, what: str, tell: bool) -> None:
    world, alice, bob = cast.world, cast.alice, cast.bob
    if what == "bob is suspended":
        version = world.suspend(bob)
    elif what == "bob is limited":
        world.users[bob].limited = True
        version = 0
    else:
        who, verb, _ = what.split()
        one, other = (alice, bob) if who == "alice" else (bob, alice)
        relation = RELATION_BLOCK if verb == "blocks" else RELATION_MUTE
        version = world.block(one, other) if verb == "blocks" else world.mute(one, other)
        if tell:
            change = RelationChange(user_id=one, other_id=other, relation=relation, set=True, version=version)
            await world.tell_relations(change)
        return
    if tell:
        account = world.users[bob]
        await world.tell_accounts(
            AccountChange(user_id=bob, version=version, status=account.status, limited=account.limited)
        )


@pytest.fixture
async def cast(world: World) -> Cast:
    cast = Cast(world)
    await world.warm()
    for surface in SURFACES:
        assert await surface(cast), surface.__name__
    return cast


@pytest.mark.parametrize("told", [True, False], ids=["told", "in silence"])
@pytest.mark.parametrize("what", SHOWN)
async def test_who_is_hidden_vanishes_everywhere_at_once_and_in_silence_within_a_second(
    cast: Cast, what: str, told: bool
) -> None:
    """P20, P44; promise 4."""
    await do(cast, what, told)
    if not told:
        cast.world.clock.advance(0.76)
    seen = {surface for surface in SURFACES if await surface(cast)}
    assert {s.__name__ for s in seen} == {s.__name__ for s in SHOWN[what]}


async def test_a_suspended_account_shows_that_it_is_and_nothing_that_it_said(cast: Cast) -> None:
    """P20"""
    await do(cast, "bob is suspended", tell=True)
    user = (await cast.ask("GetUser", user_id=text(cast.bob))).user  # type: ignore[attr-defined]
    assert user.status == USER_STATUS_SUSPENDED and user.username == "bob"
    assert not user.bio and not user.HasField("profile_image_url")


async def test_who_is_reinstated_is_back_everywhere(cast: Cast) -> None:
    """P20: nothing was purged."""
    await do(cast, "bob is suspended", tell=True)
    assert not await in_home(cast)
    version = cast.world.suspend(cast.bob, USER_STATUS_ACTIVE)
    await cast.world.tell_accounts(AccountChange(user_id=cast.bob, version=version, status=USER_STATUS_ACTIVE))
    for surface in SURFACES:
        assert await surface(cast), surface.__name__


async def test_a_deleted_account_is_not_found(cast: Cast) -> None:
    cast.world.suspend(cast.bob, USER_STATUS_DELETED)
    await cast.world.tell_accounts(AccountChange(user_id=cast.bob, version=9, status=USER_STATUS_DELETED))
    with pytest.raises(aio.AioRpcError) as failure:
        await cast.ask("GetUser", user_id=text(cast.bob))
    assert from_rpc(failure.value).reason == "USER_NOT_FOUND"
    assert not await in_home(cast) and not await by_id(cast)


async def test_lists_of_a_suspended_account_are_empty(cast: Cast) -> None:
    await do(cast, "bob is suspended", tell=True)
    followers = await cast.ask("ListFollowers", user_id=text(cast.bob))
    following = await cast.ask("ListFollowing", user_id=text(cast.bob))
    assert not followers.followers and not following.following  # type: ignore[attr-defined]


async def test_a_profile_tells_how_both_stand_to_each_other(cast: Cast) -> None:
    cast.world.block(cast.bob, cast.alice)
    cast.world.mute(cast.alice, cast.bob)
    seen = (await cast.ask("GetUser", user_id=text(cast.bob))).user.relationship  # type: ignore[attr-defined]
    assert (seen.blocking, seen.blocked_by, seen.muting) == (False, True, True)
    assert not seen.following and not seen.followed_by


async def test_who_is_blocked_by_more_than_a_snapshot_holds_sees_none_of_them(cast: Cast) -> None:
    """P44: those beyond the snapshot are asked about."""
    cast.world.most_blocked_by = 0
    await do(cast, "bob blocks alice", tell=False)
    cast.world.clock.advance(0.76)
    seen = {surface.__name__ for surface in SURFACES if await surface(cast)}
    assert seen == {profile.__name__}


async def test_somebody_without_an_account_sees_what_is_not_suspended(cast: Cast) -> None:
    await do(cast, "bob blocks alice", tell=True)
    assert await cast.ask("GetTweet", b"", tweet_id=text(cast.tweet))
    await do(cast, "bob is suspended", tell=True)
    with pytest.raises(aio.AioRpcError) as failure:
        await cast.ask("GetTweet", b"", tweet_id=text(cast.tweet))
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


async def test_ones_own_block_hides_at_once_whatever_is_signalled(cast: Cast) -> None:
    """The home names the version of what its reader did lately."""
    cast.world.recent_versions[cast.alice] = cast.world.block(cast.alice, cast.bob)
    assert not await in_home(cast)


@pytest.mark.parametrize("known", [True, False], ids=["version", "unknown"])
@pytest.mark.parametrize("what", ["alice blocks bob", "alice mutes bob"])
@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.__name__)
async def test_ones_own_block_or_mute_shows_at_once_on_every_surface_whatever_is_signalled(
    cast: Cast, surface: Surface, what: str, known: bool
) -> None:
    """P44, P53: another process answered it, and the next read comes here, where nobody told of it yet."""
    world = cast.world
    await do(cast, what, tell=False)
    if known:
        world.recent_versions[cast.alice] = world.versions[cast.alice]
    else:
        world.recent_unknown = True
    assert await surface(cast) == (surface in SHOWN[what])


async def test_ones_own_new_name_shows_at_once_whatever_is_signalled(cast: Cast) -> None:
    """P53"""
    world, alice = cast.world, cast.alice
    mine = world.tweet(alice)
    await world.home(alice)
    world.users[alice].display_name = "Alicia"
    world.recent_profiles[alice] = world.suspend(alice, USER_STATUS_ACTIVE)
    page = await world.home(alice)
    assert [t.user.display_name for t in page.tweets if t.tweet_id == text(mine)] == ["Alicia"]
    assert (await cast.ask("GetUser", user_id=text(alice))).user.display_name == "Alicia"  # type: ignore[attr-defined]
    with world.counting() as made:
        await world.home(alice)
    assert made == {"GetHome": 1, "GetTweetCounts": 1}, "once it is known it is not asked for again"


@pytest.mark.parametrize("where", ["by id", "by ids", "timeline", "likes", "likers", "followers", "profile"])
async def test_ones_own_new_name_shows_at_once_on_every_list(cast: Cast, where: str) -> None:
    """P53: nobody has told this edge yet, and this list is the first that is looked at."""
    world, alice = cast.world, cast.alice
    mine = world.tweet(alice)
    world.mark("like", alice, mine)
    world.follow(alice, cast.carol)
    asked = {
        "by id": ("GetTweet", {"tweet_id": text(mine)}, lambda answer: answer.tweet.user),
        "by ids": ("ListTweets", {"ids": [text(mine)]}, lambda answer: answer.tweets[0].user),
        "timeline": ("GetUserTimeline", {"user_id": text(alice)}, lambda answer: answer.tweets[0].user),
        "likes": ("ListUserLikes", {"user_id": text(alice)}, lambda answer: answer.tweets[0].user),
        "likers": ("ListTweetLikes", {"tweet_id": text(mine)}, lambda answer: answer.users[0]),
        "followers": ("ListFollowers", {"user_id": text(cast.carol)}, lambda answer: _among(answer.followers, alice)),
        "profile": ("GetUser", {"user_id": text(alice)}, lambda answer: answer.user),
    }
    rpc, fields, shown = asked[where]
    assert shown(await cast.ask(rpc, **fields)).display_name == "Alice"
    world.users[alice].display_name = "Alicia"
    assert shown(await cast.ask(rpc, **fields)).display_name == "Alicia"


def _among(people: Any, user_id: bytes) -> Any:
    return next(one for one in people if one.user_id == text(user_id))


async def test_while_recent_writes_are_unknown_ones_own_account_is_asked_for(cast: Cast) -> None:
    world, alice = cast.world, cast.alice
    mine = world.tweet(alice)
    await world.home(alice)
    world.users[alice].display_name = "Alicia"
    world.recent_unknown = True
    page = await world.home(alice)
    assert [t.user.display_name for t in page.tweets if t.tweet_id == text(mine)] == ["Alicia"]


async def test_a_page_whose_first_entries_are_hidden_is_refilled(cast: Cast) -> None:
    """P22"""
    world = cast.world
    world.follow(cast.alice, cast.carol)
    below = world.tweet(cast.carol)
    for _ in range(30):
        world.tweet(cast.bob)
    world.recent_versions[cast.alice] = world.versions[cast.alice]
    await do(cast, "alice mutes bob", tell=True)
    page = await world.home(cast.alice, limit=5)
    assert ids(page) == [below] and not page.has_more
