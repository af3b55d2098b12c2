"""While the line for passwords is full, the edge refuses by itself, for a moment and no longer than it knows of no free place."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
from google.protobuf.message import Message
from grpc import aio

from edge.login_line import FULL_FOR_S, LoginLine
from runtime.channel import as_rpc_error
from runtime.errors import ServiceError
from svc_user.errors import CredentialsWrong, TooManyLogins
from svc_user.passwords import RETRY_AFTER_S
from tests.monotonic import Monotonic
from tests.unit.edge.oauth_world import OAuthWorld, oauth_world
from tests.unit.svc_user.world import PASSWORD

ASKED: Any = object()
FULL = as_rpc_error(TooManyLogins("full", retry_after_s=RETRY_AFTER_S))


class Service:
    """Answers, or fails, as it is told; counts how often it is asked."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.asked = 0

    async def __call__(self, message: Message) -> str:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return "in"


async def full(line: LoginLine, service: Service) -> None:
    """Somebody is told that the line is full, and then it no longer is."""
    service.failure = FULL
    with pytest.raises(aio.AioRpcError):
        await line.ask(service, ASKED)
    service.failure = None


async def test_who_comes_just_after_somebody_was_refused_is_refused_alike_without_a_question() -> None:
    line, service = LoginLine(Monotonic()), Service()
    await full(line, service)
    for _ in range(3):
        with pytest.raises(ServiceError) as raised:
            await line.ask(service, ASKED)
        assert (raised.value.reason, raised.value.retry_after_s) == ("TOO_MANY_LOGINS", RETRY_AFTER_S)
    assert service.asked == 1


async def test_after_a_moment_it_is_asked_again() -> None:
    monotonic, service = Monotonic(), Service()
    line = LoginLine(monotonic)
    await full(line, service)
    monotonic.advance(FULL_FOR_S)
    assert await line.ask(service, ASKED) == "in"


@pytest.mark.parametrize("end", [None, as_rpc_error(CredentialsWrong("wrong")), asyncio.CancelledError()])
async def test_who_comes_back_from_the_line_however_makes_room_for_the_next_at_once(end: BaseException | None) -> None:
    line, service = LoginLine(Monotonic()), Service()
    go = asyncio.Event()

    async def stand(message: Message) -> None:
        await go.wait()
        if end is not None:
            raise end

    first = asyncio.ensure_future(line.ask(stand, ASKED))
    await asyncio.sleep(0)
    await full(line, service)
    go.set()
    await asyncio.wait([first])
    assert await line.ask(service, ASKED) == "in"


async def test_logins_and_registrations_stand_in_one_line_and_nothing_else_does() -> None:
    async with oauth_world() as world:
        alice = {"username": "alice", "email": "alice@example.org", "password": PASSWORD}
        tokens = (await post(world, "register", alice)).json()
        with ExitStack() as places:
            while True:
                try:
                    places.enter_context(world.users.deps.passwords.place())
                except TooManyLogins:
                    break
            refused = await post(world, "login", {"login": "alice", "password": PASSWORD})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        # There is room again, and nobody came back from the line to say so.
        bobby = {"username": "bobby", "email": "bobby@example.org", "password": PASSWORD}
        assert (await post(world, "register", bobby)).status_code == 429
        assert world.held == [1.0, 1.0]
        mine = {"Authorization": f"Bearer {tokens['access_token']}"}
        email = {"email": "a@example.org", "current_password": PASSWORD}
        assert (await world.api.patch("/api/v1/users/me", json=email, headers=mine)).status_code == 200
        assert (await post(world, "refresh", {"refresh_token": tokens["refresh_token"]})).status_code == 200
        world.users.clock.ms += round(FULL_FOR_S * 1000)
        assert (await post(world, "register", bobby)).status_code == 201
        assert len(world.held) == 2


async def post(world: OAuthWorld, what: str, body: dict[str, str]) -> Any:
    return await world.api.post(f"/api/v1/auth/{what}", json=body)
