"""GetMe: the caller's own account."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.context import acting
from runtime.errors import from_rpc
from tests.unit.views.world import World, caller


async def test_one_sees_ones_own_account_whole(world: World) -> None:
    alice = world.user("alice")
    with acting(caller(alice)):
        me = (await world.views.GetMe(view_pb2.GetMeRequest())).user
    assert (me.username, me.email, me.role) == ("alice", "me@example.org", "user")


async def test_nobody_has_no_account(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.GetMe(view_pb2.GetMeRequest())
    assert from_rpc(failure.value).reason == "TOKEN_MISSING"
