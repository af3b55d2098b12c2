"""GrantCode: what a user may be asked for, and what is kept of it."""

import pytest
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2 import SetAccountStateRequest

from runtime.context import acting
from svc_user.domain.apps import hashed
from tests.unit.svc_user.app_world import REDIRECT, AppWorld
from tests.unit.svc_user.world import SERVICE, failure


async def test_a_code_is_kept_as_a_hash_alone(apps: AppWorld) -> None:
    alice = await apps.person()
    code = await apps.grant(alice, await apps.app(alice))
    stored = await apps.app_store.get_code(hashed(code))
    assert stored is not None
    assert code not in repr(stored)


@pytest.mark.parametrize(
    "address",
    [
        f"{REDIRECT}/",
        f"{REDIRECT}x",
        f"{REDIRECT}/../evil",
        f"{REDIRECT}?next=https://evil.example",
        f"{REDIRECT}#",
        "https://APP.example/callback",
        "https://app.example:443/callback",
        "https://app.example.evil.example/callback",
        "https://app.example@evil.example/callback",
        "http://app.example/callback",
        "",
    ],
)
async def test_a_code_goes_nowhere_but_to_a_registered_address_character_by_character(
    apps: AppWorld, address: str
) -> None:
    alice = await apps.person()
    error = await failure(apps.grant(alice, await apps.app(alice), redirect_uri=address))
    assert error.reason == "REDIRECT_URI_INVALID"


async def test_no_more_is_granted_than_the_app_registered(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice, scopes=["read"])
    assert (await failure(apps.grant(alice, app, scopes=["read", "write"]))).reason == "INVALID_REQUEST"
    assert (await failure(apps.grant(alice, app, scopes=["account"]))).reason == "INVALID_REQUEST"


async def test_a_suspended_user_lets_nobody_in(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    tokens = await apps.let_in(alice, app)
    await suspend(apps, alice)

    assert (await failure(apps.grant(alice, app))).reason == "ACCOUNT_SUSPENDED"
    assert (await failure(apps.exchange(app, code))).reason == "ACCOUNT_SUSPENDED"
    assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "ACCOUNT_SUSPENDED"


async def suspend(apps: AppWorld, user_id: bytes) -> None:
    with acting(SERVICE):
        await apps.users.SetAccountState(SetAccountStateRequest(user_id=user_id, status=user_pb2.USER_STATUS_SUSPENDED))
