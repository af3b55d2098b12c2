"""The operations on logins: beginning, refreshing and ending them, and another password; the others are in operations.py."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos.cast import Cast
from tests.e2e.aviary import Person, until_async

Fired = Callable[[], Awaitable[object]]

ENDED_WITHIN_S = 5.0
"""Promise 10: so long after an answer, at most, an access token of an ended login is let in."""


class LogIn:
    """A login: who is answered is in, and who was not can log in again."""

    async def prepare(self, cast: Cast) -> None:
        """Somebody of this operation alone."""
        self._person = await Person.register(cast.third.client)

    async def act(self, cast: Cast, fired: Fired) -> None:
        await self._is_in(cast, await _logged_in(cast, self._person))
        await fired()

    async def after(self, cast: Cast) -> None:
        await self._is_in(cast, await _logged_in(cast, self._person))
        await self._is_in(cast, self._person)

    async def _is_in(self, cast: Cast, person: Person) -> None:
        assert (await cast.insist(person, "GET", "/users/me")).json()["user_id"] == self._person.user_id


class Refresh(LogIn):
    """A refresh: however often it is repeated the same token follows, and the login goes on (P41)."""

    async def act(self, cast: Cast, fired: Fired) -> None:
        self._next = await self._refreshed(cast, self._person.refresh_token)
        await fired()

    async def after(self, cast: Cast) -> None:
        assert await self._refreshed(cast, self._person.refresh_token) == self._next
        third = await self._refreshed(cast, self._next)
        # A client whose answers were lost may come with the first one for another minute.
        assert await self._refreshed(cast, self._person.refresh_token) == self._next
        assert await self._refreshed(cast, third) != third

    async def _refreshed(self, cast: Cast, token: str) -> str:
        answer = await cast.insist(self._person, "POST", "/auth/refresh", json={"refresh_token": token})
        self._person.token = answer.json()["access_token"]
        await self._is_in(cast, self._person)
        return str(answer.json()["refresh_token"])


class EndLogin(LogIn):
    """The end of a login by another one of the same person: its tokens are worth nothing; promise 10."""

    async def prepare(self, cast: Cast) -> None:
        """Both are known to the edge."""
        await super().prepare(cast)
        self._other = await _logged_in(cast, self._person)
        for person in (self._person, self._other):
            await self._is_in(cast, person)

    async def act(self, cast: Cast, fired: Fired) -> None:
        await self._end(cast)
        await _is_out(cast, self._other)
        await fired()

    async def after(self, cast: Cast) -> None:
        await self._end(cast)
        await _is_out(cast, self._other)
        await self._is_in(cast, self._person)

    async def _end(self, cast: Cast) -> None:
        listed = (await cast.insist(self._person, "GET", "/auth/sessions")).json()["sessions"]
        for session in listed:
            if not session["current"]:
                await cast.insist(self._person, "DELETE", f"/auth/sessions/{session['session_id']}", also=(404,))


class ChangePassword(EndLogin):
    """Another password: the other login ends with it, at whatever point the change was cut off; promise 10."""

    async def _end(self, cast: Cast) -> None:
        new = f"another {self._person.username}"
        body = {"current_password": self._person.password, "new_password": new}
        await cast.insist(self._person, "POST", "/auth/password", json=body)

    async def after(self, cast: Cast) -> None:
        await super().after(cast)
        self._person.password = f"another {self._person.username}"
        await self._is_in(cast, await _logged_in(cast, self._person))


async def _logged_in(cast: Cast, person: Person) -> Person:
    """The same person with tokens of another login."""
    body = {"login": person.username, "password": person.password}
    answer: dict[str, Any] = (await cast.insist(person, "POST", "/auth/login", json=body)).json()
    return Person(person.client, answer, person.password)


async def _is_out(cast: Cast, person: Person) -> None:
    """Refreshing is refused at once; the access token within 5 s, and no edge lets it in after that."""
    answered_at = time.monotonic()
    body = {"refresh_token": person.refresh_token}
    refused = await cast.insist(person, "POST", "/auth/refresh", json=body, also=(401,))
    assert refused.status_code == 401

    async def refused_too() -> bool:
        asked_at = time.monotonic()
        answer = await cast.insist(person, "GET", "/users/me", also=(401,))
        assert answer.status_code == 401 or asked_at < answered_at + ENDED_WITHIN_S
        return answer.status_code == 401

    await until_async(refused_too, "the access token of an ended login is let in")
