"""Who finds no place in the line for passwords, or guessed too often, is told so a second later; nobody else waits, nor is room taken."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

from edge.app import App, Target
from edge.cors import Cors
from edge.pages import Page
from edge.routes import RouteTable
from edge.tarpit import HELD_S, Tarpit
from edge.web import Request, Response
from svc_user.errors import RenameLimitReached, TooManyGuesses, TooManyLogins
from svc_user.passwords import RETRY_AFTER_S
from tests.waiting import until

LOGIN, GUESS, READ, RENAME = "/login", "/guess", "/read", "/rename"


class Held:
    """Everybody who is held, until they are let go."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.go = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.go.wait()


async def login(_: Request) -> Response:
    raise TooManyLogins("full", retry_after_s=RETRY_AFTER_S)


async def guess(_: Request) -> Response:
    raise TooManyGuesses("wrong too often", retry_after_s=60)


async def rename(_: Request) -> Response:
    raise RenameLimitReached(3, 30, 1000)


async def read(_: Request) -> Response:
    return Response(200, b"{}")


@asynccontextmanager
async def edge(held: Held, room: int = 1000, most: int = 100) -> AsyncIterator[httpx.AsyncClient]:
    table: RouteTable[Target] = RouteTable()
    for path, answer in ((LOGIN, login), (GUESS, guess), (READ, read), (RENAME, rename)):
        table.add("GET", path, Page(path, answer))
    app = App(table, Cors(()), room, (), Tarpit(held, most))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://edge") as client:
        yield client


async def refused(
    client: httpx.AsyncClient, held: Held, many: int, path: str = LOGIN
) -> Sequence[asyncio.Task[httpx.Response]]:
    """So many are held by the time that this returns."""
    waiting = [asyncio.create_task(client.get(path)) for _ in range(many)]
    await until(lambda: len(held.asked) == many)
    return waiting


@pytest.mark.parametrize(
    ("path", "reason", "retry_after"), [(LOGIN, "TOO_MANY_LOGINS", 1), (GUESS, "TOO_MANY_GUESSES", 60)]
)
async def test_who_is_refused_a_login_is_told_so_a_second_late_and_no_later_than_it_is_to_wait(
    path: str, reason: str, retry_after: int
) -> None:
    held = Held()
    async with edge(held) as client:
        [waiting] = await refused(client, held, 1, path)
        assert held.asked == [HELD_S] and HELD_S <= RETRY_AFTER_S <= retry_after
        assert not waiting.done()
        held.go.set()
        answer = await waiting
    assert (answer.status_code, answer.json()["reason"]) == (429, reason)
    assert answer.headers["retry-after"] == str(retry_after)


async def test_who_is_held_takes_no_room_from_others() -> None:
    held = Held()
    async with edge(held, room=2) as client:
        waiting = await refused(client, held, 20)
        assert (await client.get(READ)).status_code == 200
        held.go.set()
        assert {(await one).status_code for one in waiting} == {429}


async def test_no_more_are_held_than_there_is_memory_for_and_the_rest_is_told_at_once() -> None:
    held = Held()
    async with edge(held, most=3) as client:
        waiting = await refused(client, held, 3)
        assert (await client.get(LOGIN)).status_code == 429
        held.go.set()
        await asyncio.gather(*waiting)
        await client.get(LOGIN)
    assert len(held.asked) == 4


async def test_no_other_answer_is_held() -> None:
    held = Held()
    async with edge(held) as client:
        assert (await client.get(READ)).status_code == 200
        assert (await client.get(RENAME)).status_code == 429
        assert (await client.get("/nowhere")).status_code == 404
    assert held.asked == []
