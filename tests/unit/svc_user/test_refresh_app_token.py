"""RefreshAppToken: for the app alone, never for more, and not after it was withdrawn."""

import asyncio
import uuid

import pytest
from aviary.user.v1.user_pb2 import RefreshTokenRequest

from tests.unit.svc_user.app_world import AppWorld
from tests.unit.svc_user.test_exchange_code import claims
from tests.unit.svc_user.world import failure


async def test_parallel_refreshes_get_one_successor(apps: AppWorld) -> None:
    """P41, for apps as for logins of one's own."""
    alice = await apps.person()
    app = await apps.app(alice, confidential=True)
    tokens = await apps.let_in(alice, app)
    found = await asyncio.gather(*(apps.refresh(app, tokens.refresh_token) for _ in range(10)))
    assert len({each.refresh_token for each in found}) == 1
    assert list(found[0].scopes) == ["read", "write"]


async def test_fewer_scopes_are_those_of_one_access_token(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    narrow = await apps.refresh(app, (await apps.let_in(alice, app)).refresh_token, scopes=["read"])
    assert (claims(narrow.access_token)["scope"], list(narrow.scopes)) == ("read", ["read"])
    assert list((await apps.refresh(app, narrow.refresh_token)).scopes) == ["read", "write"]


@pytest.mark.parametrize("more", ["follow", "account", ""])
async def test_no_scope_is_added_by_refreshing(apps: AppWorld, more: str) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    tokens = await apps.let_in(alice, app)
    error = await failure(apps.refresh(app, tokens.refresh_token, scopes=["read", more]))
    assert (error.reason, [problem.field for problem in error.fields]) == ("INVALID_REQUEST", ["scopes"])
    assert await apps.refresh(app, tokens.refresh_token)


async def test_a_token_is_worth_nothing_to_another_app_nor_as_ones_own_login(apps: AppWorld) -> None:
    alice = await apps.person()
    app, other = await apps.app(alice, confidential=True), await apps.app(alice)
    tokens = await apps.let_in(alice, app)
    assert (await failure(apps.refresh(other, tokens.refresh_token))).reason == "GRANT_INVALID"
    own = RefreshTokenRequest(refresh_token=tokens.refresh_token)
    assert (await failure(apps.users.RefreshToken(own))).reason == "REFRESH_TOKEN_INVALID"
    assert await apps.refresh(app, tokens.refresh_token), "neither of the two tries ended anything"


async def test_a_login_of_ones_own_is_none_of_an_apps(apps: AppWorld) -> None:
    registered = await apps.register("alice")
    app = await apps.app(uuid.UUID(registered.user.user_id).bytes)
    assert (await failure(apps.refresh(app, registered.refresh_token))).reason == "GRANT_INVALID"


@pytest.mark.parametrize("token", ["", "x", "\u00e9", "A" * 512])
async def test_nonsense_is_no_token(apps: AppWorld, token: str) -> None:
    app = await apps.app(await apps.person())
    assert (await failure(apps.refresh(app, token))).reason == "GRANT_INVALID"


async def test_a_login_of_an_app_that_is_being_withdrawn_ends_when_it_is_refreshed(apps: AppWorld) -> None:
    """Whoever withdrew it died after the mark: the logins were not ended yet."""
    alice = await apps.person()
    app = await apps.app(alice)
    tokens = await apps.let_in(alice, app)
    consent = await apps.app_store.get_consent(uuid.UUID(bytes=alice), app.client_id)
    assert consent is not None
    await apps.app_store.delete_consent(consent)
    assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "GRANT_INVALID"
