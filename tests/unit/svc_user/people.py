"""Somebody who has an account, for tests of changing it."""

import uuid
from typing import Any

from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2 import LoginRequest, ResolveUsernamesRequest, UpdateAccountRequest
from grpc import aio

from runtime.context import acting
from tests.unit.svc_user.world import PASSWORD, SERVICE, World, signed_in


class Person:
    """Somebody who has an account."""

    def __init__(self, world: World, user: user_pb2.User) -> None:
        self.world = world
        self.user_id = uuid.UUID(user.user_id)
        self.email = user.email

    async def update(self, **fields: Any) -> user_pb2.User:
        with acting(signed_in(self.user_id.bytes)):
            answer: user_pb2.UpdateAccountResponse = await self.world.users.UpdateAccount(
                UpdateAccountRequest(**fields)
            )
        return answer.user

    async def move(self, email: str) -> user_pb2.User:
        return await self.update(email=email, current_password=PASSWORD)


async def whose(world: World, *names: str) -> dict[str, str]:
    """Ids by name."""
    with acting(SERVICE):
        answer = await world.users.ResolveUsernames(ResolveUsernamesRequest(usernames=names))
    return {found.username: str(uuid.UUID(bytes=found.user_id)) for found in answer.users}


async def can_log_in(world: World, login: str) -> bool:
    try:
        await world.users.Login(LoginRequest(login=login, password=PASSWORD))
    except aio.AioRpcError:
        return False
    return True
