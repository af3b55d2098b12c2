"""The end of a login, through two edges on real processes: their open sockets end, their tokens are refused, whoever is down (P42)."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from aviary.user.v1 import user_pb2

from runtime.context import Caller, acting
from tests.e2e.aviary import API, Aviary, Person, Stream, elsewhere, until_async

WITHIN_S = 5.0


@dataclass
class Everywhere:
    """One login at both edges, with a socket open at each."""

    people: list[Person]
    sockets: list[Stream]

    async def ended(self, reason: str, status: int) -> None:
        """Every socket says why it ends, and no edge takes the token any more, within five seconds."""
        async with asyncio.timeout(WITHIN_S):
            for socket in self.sockets:
                assert (await socket.next("revoked"))["data"] == {"reason": reason}
                await socket.socket.wait_closed()
                assert (socket.socket.close_code, socket.socket.close_reason) == (1008, reason)
            for person in self.people:
                await until_async(lambda person=person: refused(person, status, reason), "the token is still taken")

    async def goes_on(self) -> None:
        """The token is good at each edge, and the sockets are open."""
        for person in self.people:
            await person.ok("GET", "/timeline/home")
        tweet = await self.people[0].post("still here")
        for socket in self.sockets:
            assert (await socket.next("tweet"))["data"]["tweet_id"] == tweet


async def refused(person: Person, status: int, reason: str) -> bool:
    answer = await person.request("GET", "/timeline/home")
    return answer.status_code == status and answer.json()["reason"] == reason


@asynccontextmanager
async def everywhere(person: Person, other: str) -> AsyncIterator[Everywhere]:
    """The person's login at both edges."""
    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(elsewhere(person, other))
        sockets = [await stack.enter_async_context(each.stream()) for each in (person, there)]
        yield Everywhere([person, there], sockets)


@asynccontextmanager
async def another_login(person: Person) -> AsyncIterator[Person]:
    """The same person, logged in once more."""
    answer = await person.client.post(f"{API}/auth/login", json={"login": person.username, "password": person.password})
    yield Person(person.client, answer.json(), person.password)


async def test_a_logout_ends_the_login_on_every_edge_and_no_other_login(aviary: Aviary, other: str) -> None:
    async with (
        aviary.person() as alice,
        another_login(alice) as phone,
        everywhere(alice, other) as first,
        everywhere(phone, other) as second,
    ):
        assert (await alice.request("POST", "/auth/logout")).status_code == 204
        await first.ended("TOKEN_INVALID", 401)
        await second.goes_on()


async def test_another_password_ends_all_other_logins_on_every_edge(aviary: Aviary, other: str) -> None:
    async with (
        aviary.person() as alice,
        another_login(alice) as phone,
        everywhere(alice, other) as first,
        everywhere(phone, other) as second,
    ):
        body = {"current_password": alice.password, "new_password": f"new-{alice.password}"}
        assert (await alice.request("POST", "/auth/password", json=body)).status_code == 204
        await second.ended("TOKEN_INVALID", 401)
        await first.goes_on()


async def test_a_suspension_reaches_every_edge_and_ends_with_itself(aviary: Aviary, other: str) -> None:
    async with aviary.person() as alice, everywhere(alice, other) as login:
        await state(aviary, alice, user_pb2.USER_STATUS_SUSPENDED)
        await login.ended("ACCOUNT_SUSPENDED", 403)
        await state(aviary, alice, user_pb2.USER_STATUS_ACTIVE)
        async with everywhere(alice, other) as again:
            await again.goes_on()


async def state(aviary: Aviary, person: Person, status: "user_pb2.UserStatus.ValueType") -> None:
    """Suspend or reinstate."""
    async with aviary.mesh() as mesh:
        user_id = uuid.UUID(person.user_id).bytes
        with acting(Caller()):
            await mesh.users.SetAccountState(user_pb2.SetAccountStateRequest(user_id=user_id, status=status))


async def test_an_end_is_known_everywhere_within_five_seconds_of_its_answer_while_nats_is_silent(
    aviary: Aviary, other: str
) -> None:
    async with (
        aviary.person() as alice,
        another_login(alice) as phone,
        everywhere(alice, other) as first,
        everywhere(phone, other) as second,
    ):
        with aviary.hung("nats"):
            assert (await alice.request("POST", "/auth/logout")).status_code == 204
            answered = time.monotonic()
            await first.ended("TOKEN_INVALID", 401)
            assert time.monotonic() - answered < WITHIN_S
            for person in second.people:
                await person.ok("GET", "/timeline/home")
        await aviary.ready()
        assert all(socket.socket.close_code is None for socket in second.sockets)


@pytest.mark.parametrize("how", ["hung", "killed"])
async def test_known_logins_read_and_listen_on_while_svc_user_is_away(aviary: Aviary, other: str, how: str) -> None:
    """Promise 9"""
    async with aviary.people(2) as (alice, bob), everywhere(alice, other) as login:
        await bob.ok("GET", "/timeline/home")
        await login.goes_on()
        pid = aviary.process("svc_user")
        if how == "killed":
            os.kill(pid, signal.SIGKILL)
            await login.goes_on()
            await aviary.back("svc_user", pid)
        else:
            with aviary.hung("svc_user"):
                await login.goes_on()
            await aviary.ready()
        await login.goes_on()
        assert (await alice.request("POST", "/auth/logout")).status_code == 204
        await login.ended("TOKEN_INVALID", 401)
        await bob.ok("GET", "/timeline/home")
