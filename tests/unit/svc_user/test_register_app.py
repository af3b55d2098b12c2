"""RegisterApp: an app is found as it was registered, and what none may have is refused."""

import hashlib

import pytest
from aviary.user.v1.apps_pb2 import GetAppRequest

from runtime.context import acting
from tests.unit.svc_user.app_world import REDIRECT, AppWorld
from tests.unit.svc_user.world import SERVICE, failure


async def test_an_app_is_found_as_it_was_registered(apps: AppWorld) -> None:
    made = await apps.app(await apps.person(), scopes=["read", "follow"])
    with acting(SERVICE):
        found = (await apps.apps.GetApp(GetAppRequest(client_id=made.client_id))).app
    assert (found.name, list(found.redirect_uris), list(found.scopes)) == ("Chirper", [REDIRECT], ["read", "follow"])
    assert not found.confidential
    assert found.created_at == made.created_at
    assert not made.HasField("client_secret")


async def test_a_secret_is_told_once_and_stored_as_a_hash(apps: AppWorld) -> None:
    made = await apps.app(await apps.person(), confidential=True)
    stored = (await apps.app_store.get_apps([made.client_id]))[made.client_id]
    assert len(made.client_secret) == 43
    assert stored.secret_hash == hashlib.sha256(made.client_secret.encode()).digest()
    assert made.client_secret not in repr(stored)


async def test_each_address_that_is_not_allowed_is_named(apps: AppWorld) -> None:
    alice = await apps.person()
    error = await failure(apps.app(alice, redirect_uris=[REDIRECT, "http://app.example/", "https://a@b.example/"]))
    assert error.reason == "REDIRECT_URI_INVALID"
    assert [problem.field for problem in error.fields] == ["redirect_uris[1]", "redirect_uris[2]"]


@pytest.mark.parametrize(
    "given", [{"name": ""}, {"name": "a\nb"}, {"redirect_uris": []}, {"scopes": []}, {"scopes": ["account"]}]
)
async def test_what_no_app_may_have_is_refused(apps: AppWorld, given: dict[str, object]) -> None:
    """`account` above all: no app is ever granted the account itself."""
    assert (await failure(apps.app(await apps.person(), **given))).reason == "INVALID_REQUEST"
