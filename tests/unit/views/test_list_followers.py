"""ListFollowers: who follows an account, page by page."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller, text


async def test_it_shows_the_other_end_and_skips_lost_accounts(world: World) -> None:
    """P25"""
    alice, bob, gone = world.user("alice"), world.user("bob"), world.user("gone")
    world.follow(bob, alice)
    world.follow(gone, alice)
    del world.users[gone]
    answer = await world.views.ListFollowers(view_pb2.ListFollowersRequest(user_id=text(alice)))
    assert [f.user_id for f in answer.followers] == [text(bob)] and not answer.has_more


async def test_pages_join_through_the_cursor(world: World) -> None:
    bob = world.user("bob")
    readers = [world.user(f"r{n}") for n in range(5)]
    for reader in readers:
        world.follow(reader, bob)
    first = await world.views.ListFollowers(view_pb2.ListFollowersRequest(user_id=text(bob), limit=3))
    assert first.has_more and first.next_cursor
    request = view_pb2.ListFollowersRequest(user_id=text(bob), limit=3, cursor=first.next_cursor)
    rest = await world.views.ListFollowers(request)
    assert not rest.has_more and not rest.HasField("next_cursor")
    assert [f.username for f in [*first.followers, *rest.followers]] == [f"r{n}" for n in range(5)]


async def test_an_unknown_account_is_not_found(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.ListFollowers(view_pb2.ListFollowersRequest(user_id=text(b"x" * 16)))
    assert from_rpc(failure.value).reason == "USER_NOT_FOUND"


async def test_a_bad_cursor_is_refused(world: World) -> None:
    """P34"""
    request = view_pb2.ListFollowersRequest(user_id=text(world.user("alice")), cursor="forged")
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.ListFollowers(request)
    assert from_rpc(failure.value).reason == "INVALID_CURSOR"


async def test_known_followers_are_those_whom_the_caller_follows_and_does_not_mute(world: World) -> None:
    """P44"""
    alice, star, friend, muted, stranger = (world.user(n) for n in ("alice", "star", "friend", "muted", "stranger"))
    for follower in (friend, muted, stranger):
        world.follow(follower, star)
    for known in (friend, muted):
        world.follow(alice, known)
    world.mutes[(alice, muted)] = 0
    request = view_pb2.ListFollowersRequest(user_id=text(star), known=True)
    with acting(caller(alice)):
        answer = await world.views.ListFollowers(request)
    assert [f.username for f in answer.followers] == ["friend"]
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.ListFollowers(request)
    assert from_rpc(failure.value).reason == "TOKEN_MISSING"
