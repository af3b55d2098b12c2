"""RevokeAppToken: the end of the login of an app's token, of no other."""

import uuid

from tests.unit.svc_user.app_world import AppWorld
from tests.unit.svc_user.test_exchange_code import claims
from tests.unit.svc_user.world import failure


async def test_either_token_ends_the_login(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    by_refresh, by_access = await apps.let_in(alice, app), await apps.let_in(alice, app)
    await apps.revoke(app, by_refresh.refresh_token)
    await apps.revoke(app, session_id=uuid.UUID(claims(by_access.access_token)["sid"]).bytes)
    for tokens in (by_refresh, by_access):
        assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "GRANT_INVALID"
    await apps.revoke(app, by_refresh.refresh_token)


async def test_a_token_of_another_app_or_of_ones_own_login_changes_nothing(apps: AppWorld) -> None:
    registered = await apps.register("alice")
    alice = uuid.UUID(registered.user.user_id).bytes
    app, other = await apps.app(alice), await apps.app(alice)
    tokens = await apps.let_in(alice, app)
    await apps.revoke(other, tokens.refresh_token)
    await apps.revoke(other, session_id=uuid.UUID(claims(tokens.access_token)["sid"]).bytes)
    await apps.revoke(other, registered.refresh_token)
    await apps.revoke(other, "nonsense")
    assert await apps.refresh(app, tokens.refresh_token)
    assert len(await apps.logins.list_sessions(uuid.UUID(bytes=alice))) == 2


async def test_an_app_that_has_a_secret_shows_it(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice, confidential=True)
    tokens = await apps.let_in(alice, app)
    assert (await failure(apps.revoke(app, tokens.refresh_token, client_secret=""))).reason == "CLIENT_INVALID"
