"""OAuth 2.0 against a running edge: Authlib's own client walks the whole way, and what was given is taken back on every edge."""

import asyncio
import html
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import AsyncOAuth2Client

from tests.e2e.aviary import API, Aviary, Person, until_async

REDIRECT = "https://app.example/callback"
VERIFIER = generate_token(48)
ENDED_WITHIN_S = 5.0


async def register(person: Person, **more: Any) -> dict[str, Any]:
    body = {"name": "Chirper", "redirect_uris": [REDIRECT], "scopes": ["read", "write", "follow"], **more}
    return await person.ok("POST", "/apps", 201, json=body)


@asynccontextmanager
async def client_of(aviary: Aviary, app: dict[str, Any]) -> AsyncIterator[AsyncOAuth2Client]:
    """What the developer of an app has, made from the metadata alone."""
    async with httpx.AsyncClient(base_url=aviary.url) as anybody:
        metadata = (await anybody.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["issuer"] == aviary.url
    async with AsyncOAuth2Client(
        client_id=app["client_id"],
        client_secret=app["client_secret"],
        token_endpoint_auth_method="client_secret_basic" if app["client_secret"] else "none",
        redirect_uri=REDIRECT,
        scope="read write",
        code_challenge_method="S256",
        **metadata,
    ) as client:
        yield client


async def let_in(client: AsyncOAuth2Client, person: Person) -> dict[str, Any]:
    """A browser that comes from the app, logs in, consents, and goes back to it."""
    uri, state = client.create_authorization_url(client.metadata["authorization_endpoint"], code_verifier=VERIFIER)
    async with httpx.AsyncClient() as browser:
        page = await browser.get(uri)
        assert page.status_code == 200, page.text
        assert "<bdi>Chirper</bdi>" in page.text
        form = re.search(r'<form method="post" action="([^"]+)">', page.text)
        token = re.search(r'name="form_token" value="([^"]+)"', page.text)
        assert form, page.text
        assert token, page.text
        fields = {"login": person.username, "password": person.password, "decision": "allow", "form_token": token[1]}
        redirect = await browser.post(str(page.url.join(html.unescape(form[1]))), data=fields)
    assert redirect.status_code == 303, redirect.text
    tokens: dict[str, Any] = await client.fetch_token(
        authorization_response=redirect.headers["location"], state=state, code_verifier=VERIFIER
    )
    return tokens


@pytest.mark.parametrize("confidential", [False, True], ids=["public", "confidential"])
async def test_a_stock_client_gets_in_acts_refreshes_and_goes(aviary: Aviary, confidential: bool) -> None:
    async with aviary.person() as alice:
        app = await register(alice, confidential=confidential)
        async with client_of(aviary, app) as client:
            tokens = await let_in(client, alice)
            keys = jwt.PyJWKSet.from_dict(
                (await client.request("GET", client.metadata["jwks_uri"], withhold_token=True)).json()
            )
            assert jwt.get_unverified_header(tokens["access_token"])["kid"] in [key.key_id for key in keys.keys]

            me = (await client.get(f"{aviary.url}{API}/users/me")).json()
            assert (me["user_id"], me["email"]) == (alice.user_id, None), "no e-mail address without the scope account"
            posted = await client.post(f"{aviary.url}{API}/tweets", json={"content": "from an app"})
            assert posted.status_code == 201, posted.text
            assert posted.json()["tweet_id"] in await alice.timeline(alice)

            for verb, path in (
                ("POST", f"/users/{alice.user_id}/follow"),
                ("GET", "/auth/sessions"),
                ("POST", "/apps"),
            ):
                refused = await client.request(verb, f"{aviary.url}{API}{path}", json={})
                assert (refused.status_code, refused.json()["reason"]) == (403, "INSUFFICIENT_SCOPE"), path

            fresh = await client.refresh_token(client.metadata["token_endpoint"])
            assert fresh["refresh_token"] != tokens["refresh_token"]
            began = time.monotonic()
            revoked = await client.revoke_token(client.metadata["revocation_endpoint"], token=fresh["refresh_token"])
            assert revoked.status_code == 200

            async def ended() -> bool:
                refused = await client.get(f"{aviary.url}{API}/users/me")
                return refused.status_code == 401 and refused.json()["reason"] == "TOKEN_INVALID"

            await until_async(ended, "the access token that was given back is let in")
            assert time.monotonic() < began + ENDED_WITHIN_S


async def test_a_withdrawn_app_is_out_on_every_edge_within_five_seconds(aviary: Aviary, other: str) -> None:
    """Promise 10, and P42 for apps: its stream is closed too."""
    async with aviary.person() as alice:
        app = await register(alice)
        async with client_of(aviary, app) as client:
            tokens = await let_in(client, alice)
            listed = (await alice.ok("GET", "/apps/authorized"))["apps"]
            assert [(each["client_id"], each["scopes"]) for each in listed] == [(app["client_id"], ["read", "write"])]
            assert (await client.get(f"{other}{API}/users/me")).status_code == 200
            bearer = Person(alice.client, {"user": {"user_id": "", "username": ""}, **tokens}, "")
            async with bearer.stream() as stream:
                gone = await alice.request("DELETE", f"/apps/authorized/{app['client_id']}")
                assert gone.status_code == 204
                await stream.next("revoked")

            async def out() -> bool:
                answers = [await client.get(f"{edge}{API}/users/me") for edge in (aviary.url, other)]
                return [answer.status_code for answer in answers] == [401, 401]

            await until_async(out, "an edge lets in the tokens of an app that was withdrawn")
            assert (await alice.ok("GET", "/apps/authorized"))["apps"] == []
            again = await client.request(
                "POST",
                client.metadata["token_endpoint"],
                data={
                    "grant_type": "refresh_token",
                    "refresh_token": tokens["refresh_token"],
                    "client_id": app["client_id"],
                },
                withhold_token=True,
            )
            assert again.json()["error"] == "invalid_grant"


async def test_the_page_cannot_be_framed_and_leads_nowhere_unasked(aviary: Aviary) -> None:
    async with aviary.person() as alice, httpx.AsyncClient(base_url=aviary.url) as browser:
        app = await register(alice)
        asked = f"/oauth/authorize?response_type=code&client_id={app['client_id']}"
        foreign = await browser.get(f"{asked}&redirect_uri={REDIRECT}.evil.example")
        assert (foreign.status_code, "location" in foreign.headers) == (400, False)
        assert "frame-ancestors 'none'" in foreign.headers["content-security-policy"]
        downgraded = await browser.get(f"{asked}&redirect_uri={REDIRECT}&state=s&code_challenge={'x' * 43}")
        assert downgraded.status_code == 303
        assert "error=invalid_request" in downgraded.headers["location"]
        assert "state=s" in downgraded.headers["location"]


async def test_a_repeated_registration_is_the_same_app_with_the_same_secret_on_every_edge(
    aviary: Aviary, other: str
) -> None:
    """Promise 7, P37; the secret that was told lets the app in."""
    async with aviary.person() as alice:
        body = {"name": "Chirper", "redirect_uris": [REDIRECT], "scopes": ["read", "write"], "confidential": True}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        answers = await asyncio.gather(
            *(alice.ok("POST", "/apps", 201, json=body, headers=headers) for _ in range(10)),
            *(elsewhere(other, alice, body, headers) for _ in range(10)),
        )
        assert all(answer == answers[0] for answer in answers)
        reused = await alice.request("POST", "/apps", json={**body, "name": "Other"}, headers=headers)
        assert (reused.status_code, reused.json()["reason"]) == (409, "IDEMPOTENCY_KEY_REUSED")
        assert (await register(alice, confidential=True))["client_id"] != answers[0]["client_id"]
        async with client_of(aviary, answers[0]) as client:
            assert (await let_in(client, alice))["access_token"]


async def elsewhere(edge: str, person: Person, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """The same request at another edge."""
    async with httpx.AsyncClient(base_url=edge) as client:
        answer = await client.post(
            f"{API}/apps", json=body, headers={"Authorization": f"Bearer {person.token}", **headers}
        )
    assert answer.status_code == 201, answer.text
    app: dict[str, Any] = answer.json()
    return app


async def test_states_are_set_again_by_a_repetition_with_a_key_or_without(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        tweet = await alice.post("to be liked")
        for path in (f"/tweets/{tweet}/like", f"/tweets/{tweet}/bookmark", f"/users/{alice.user_id}/follow"):
            key = {"Idempotency-Key": uuid.uuid4().hex}
            first, again = [await bob.ok("POST", path, headers=key) for _ in range(2)]
            assert {name: first[name] for name in first if not name.endswith("_at")} == {
                name: again[name] for name in again if not name.endswith("_at")
            }
        for path in (f"/users/{alice.user_id}/mute", f"/users/{alice.user_id}/block"):
            key = {"Idempotency-Key": uuid.uuid4().hex}
            for _ in range(2):
                answer = await bob.request("POST", path, headers=key)
                assert answer.is_success, answer.text


@pytest.mark.parametrize(
    "address", ["http://app.example/", "https://a@b.example/", "https://app.example/#x", "javascript:alert(1)"]
)
async def test_an_address_that_could_lead_elsewhere_is_not_registered(aviary: Aviary, address: str) -> None:
    async with aviary.person() as alice:
        body = {"name": "Chirper", "redirect_uris": [address], "scopes": ["read"]}
        refused = await alice.request("POST", "/apps", json=body)
        assert (refused.status_code, refused.json()["reason"]) == (400, "REDIRECT_URI_INVALID")
        assert [error["field"] for error in refused.json()["errors"]] == ["redirect_uris[0]"]
