"""The operations on apps: one is registered, a code becomes a login, what was let in is taken back; the others are in operations.py."""

import asyncio
import html
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from tests.chaos.cast import Cast
from tests.e2e.aviary import PATIENCE_S, Person

Fired = Callable[[], Awaitable[object]]

REDIRECT = "https://app.example/callback"
VERIFIER = "v" * 43
_AGAIN_S = 0.2


class RegisterApp:
    """A confidential app: one for all tries with a key, and the secret that was told is the one that holds; promise 7."""

    async def prepare(self, cast: Cast) -> None:
        """Somebody of this operation alone."""
        self._person = await Person.register(cast.third.client)
        self._key = uuid.uuid4().hex

    async def act(self, cast: Cast, fired: Fired) -> None:
        self._app = await self._register(cast)
        await fired()

    async def after(self, cast: Cast) -> None:
        assert await self._register(cast) == self._app
        credentials = (self._app["client_id"], self._app["client_secret"])
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self._person.client.post("/oauth/revoke", data={"token": "none"}, auth=credentials)
                if answer.status_code not in (503, 504):
                    break
                await asyncio.sleep(_AGAIN_S)
        assert answer.status_code == 200, answer.text

    async def _register(self, cast: Cast) -> dict[str, Any]:
        body = {"name": "Chirper", "redirect_uris": [REDIRECT], "scopes": ["read"], "confidential": True}
        app: dict[str, Any] = (await cast.insist(self._person, "POST", "/apps", self._key, json=body)).json()
        return app


class LetIn:
    """A code is exchanged: whoever is answered is in; who was not may ask again, and is refused clearly, with nothing half-made."""

    async def prepare(self, cast: Cast) -> None:
        """Somebody of this operation alone, an app, and the user's consent to it."""
        self._person = await Person.register(cast.third.client)
        body = {"name": "Chirper", "redirect_uris": [REDIRECT], "scopes": ["read"]}
        self._client_id = (await self._person.ok("POST", "/apps", 201, json=body))["client_id"]
        self._code = await self._consent()

    async def act(self, cast: Cast, fired: Fired) -> None:
        answer = await self._exchange(cast, self._code)
        if answer.status_code == 200:
            await self._is_in(cast, answer.json())
        else:
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), answer.text
            assert await self._logins(cast) == 0
        await fired()

    async def after(self, cast: Cast) -> None:
        """The code is worth nothing any more, and a new consent is worth all."""
        again = await self._exchange(cast, self._code)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant"), again.text
        assert await self._logins(cast) == 0
        fresh = await self._exchange(cast, await self._consent())
        assert fresh.status_code == 200, fresh.text
        await self._is_in(cast, fresh.json())
        assert await self._logins(cast) == 1

    async def _consent(self) -> str:
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": REDIRECT,
            "code_challenge": create_s256_code_challenge(VERIFIER),
            "code_challenge_method": "S256",
        }
        browser = self._person.client
        page = await browser.get(f"/oauth/authorize?{urlencode(asked)}")
        found = re.search(r'name="form_token" value="([^"]+)"', page.text)
        assert found, page.text
        decided = {"login": self._person.username, "password": self._person.password, "decision": "allow"}
        redirect = await browser.post(
            f"/oauth/authorize?{urlencode(asked)}", data={**decided, "form_token": html.unescape(found[1])}
        )
        assert redirect.status_code == 303, redirect.text
        return parse_qs(urlsplit(redirect.headers["location"]).query)["code"][0]

    async def _exchange(self, cast: Cast, code: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        return await self._asked(cast, {**form, "client_id": self._client_id})

    async def _asked(self, cast: Cast, form: dict[str, str]) -> httpx.Response:
        """The answer of /oauth/token, asked again while something is away."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    answer = await self._person.client.post("/oauth/token", data=form)
                except httpx.TransportError as error:
                    assert cast.edge_may_die and not isinstance(error, httpx.TimeoutException), repr(error)
                else:
                    if answer.status_code not in (503, 504):
                        return answer
                await asyncio.sleep(_AGAIN_S)

    async def _is_in(self, cast: Cast, tokens: dict[str, Any]) -> None:
        app = Person(self._person.client, {"user": {"user_id": "", "username": ""}, **tokens}, "")
        me = (await cast.insist(app, "GET", "/users/me")).json()
        assert (me["user_id"], me["email"]) == (self._person.user_id, None)

    async def _logins(self, cast: Cast) -> int:
        listed = (await cast.insist(self._person, "GET", "/auth/sessions")).json()["sessions"]
        return sum(session["client_id"] == self._client_id for session in listed)


class Withdraw(LetIn):
    """An app is withdrawn: its tokens are worth nothing once that is answered, and it is not listed any more; promise 10."""

    async def prepare(self, cast: Cast) -> None:
        """The app is in."""
        await super().prepare(cast)
        self._tokens = (await self._exchange(cast, self._code)).json()
        await self._is_in(cast, self._tokens)
        self._unused = await self._consent()

    async def act(self, cast: Cast, fired: Fired) -> None:
        await self._withdraw(cast)
        await self._is_out(cast)
        await fired()

    async def after(self, cast: Cast) -> None:
        await self._withdraw(cast)
        await self._is_out(cast)
        fresh = await self._exchange(cast, await self._consent())
        await self._is_in(cast, fresh.json())

    async def _withdraw(self, cast: Cast) -> None:
        await cast.insist(self._person, "DELETE", f"/apps/authorized/{self._client_id}")

    async def _is_out(self, cast: Cast) -> None:
        assert (await cast.insist(self._person, "GET", "/apps/authorized")).json()["apps"] == []
        assert await self._logins(cast) == 0
        form = {"grant_type": "refresh_token", "refresh_token": self._tokens["refresh_token"]}
        refused = await self._asked(cast, {**form, "client_id": self._client_id})
        assert refused.json()["error"] == "invalid_grant"
        assert (await self._exchange(cast, self._unused)).json()["error"] == "invalid_grant"
        app = Person(self._person.client, {"user": {"user_id": "", "username": ""}, **self._tokens}, "")
        assert (await cast.insist(app, "GET", "/users/me", also=(401,))).status_code == 401
