"""ListSuggestions: who is suggested is somebody whom the caller may see and does not follow."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller


async def suggested(world: World, viewer: bytes, **fields: object) -> list[str]:
    with acting(caller(viewer)):
        answer = await world.views.ListSuggestions(view_pb2.ListSuggestionsRequest(**fields))
    assert not answer.has_more and not answer.HasField("next_cursor")
    return [user.username for user in answer.users]


async def test_whom_the_caller_follows_blocks_mutes_or_is_blocked_by_is_not_suggested(world: World) -> None:
    """P44"""
    alice = world.user("alice")
    names = ("stranger", "followed", "blocked", "blocking", "muted", "suspended")
    stranger, followed, blocked, blocking, muted, suspended = (world.user(name) for name in names)
    world.follow(alice, followed)
    world.blocks |= {(alice, blocked), (blocking, alice)}
    world.mutes[(alice, muted)] = 0
    world.users[suspended].status = 2
    assert await suggested(world, alice) == ["stranger"]
    assert "alice" in await suggested(world, stranger)


async def test_nobody_has_none(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.ListSuggestions(view_pb2.ListSuggestionsRequest())
    assert from_rpc(failure.value).reason == "TOKEN_MISSING"
