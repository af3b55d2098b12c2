"""GetMe: the caller's own account."""

import asyncio

from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.deps import Deps
from views.engagement import UNKNOWN
from views.present import counted, degraded


async def get_me(_: view_pb2.GetMeRequest, caller: Caller, deps: Deps) -> view_pb2.GetMeResponse:
    """The account with e-mail and role, read from its owner. Fails with USER_NOT_FOUND."""
    async with asyncio.TaskGroup() as group:
        counting = group.create_task(deps.engagement.user(caller.user_id, caller.user_id))
        reading = group.create_task(_account(deps))
    counts = counting.result()
    user = counted(reading.result(), counts.of.get(caller.user_id, UNKNOWN))
    return view_pb2.GetMeResponse(user=user, degraded=degraded(counts.away))


async def _account(deps: Deps) -> user_pb2.User:
    return (await deps.user.GetAccount(user_pb2.GetAccountRequest())).user
