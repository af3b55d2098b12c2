"""A stock OAuth client walks the whole way over the public port: consent, tokens, calls, refresh, end."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.unit.edge.oauth_world import ISSUER, OAuthWorld, oauth_world


@pytest_asyncio.fixture
async def world() -> AsyncIterator[OAuthWorld]:
    async with oauth_world() as world:
        yield world


@pytest.mark.parametrize("confidential", [False, True], ids=["public", "confidential"])
async def test_authlibs_client_gets_tokens_uses_refreshes_and_revokes_them(
    world: OAuthWorld, confidential: bool
) -> None:
    alice = await world.users.person("alice")
    app = await world.users.app(alice, confidential=confidential)
    client = world.client(app)
    uri, state = client.create_authorization_url(f"{ISSUER}/oauth/authorize", code_verifier="v" * 50)

    redirect = await world.browser.decide(await world.browser.get(uri))
    tokens = await client.fetch_token(
        authorization_response=redirect.headers["location"], state=state, code_verifier="v" * 50
    )
    assert (tokens["token_type"], tokens["scope"]) == ("Bearer", "read write")
    refused = await client.get(f"{ISSUER}/api/v1/apps/authorized")
    assert (refused.status_code, refused.json()["reason"]) == (403, "INSUFFICIENT_SCOPE")

    fresh = await client.refresh_token(f"{ISSUER}/oauth/token")
    assert fresh["refresh_token"] != tokens["refresh_token"]

    assert (await client.revoke_token(f"{ISSUER}/oauth/revoke", token=fresh["access_token"])).status_code == 200
    ended = await client.get(f"{ISSUER}/api/v1/apps/authorized")
    assert (ended.status_code, ended.json()["reason"]) == (401, "TOKEN_INVALID")
    await client.aclose()
