"""GetApp."""

import pytest
from aviary.user.v1.apps_pb2 import GetAppRequest

from runtime.context import acting
from tests.unit.svc_user.app_world import AppWorld
from tests.unit.svc_user.world import SERVICE, failure


@pytest.mark.parametrize("client_id", ["nobody", "", "\u00e9"])
async def test_an_unknown_app_is_not_found(apps: AppWorld, client_id: str) -> None:
    with acting(SERVICE):
        assert (await failure(apps.apps.GetApp(GetAppRequest(client_id=client_id)))).reason == "APP_NOT_FOUND"


async def test_an_app_with_a_secret_is_shown_without_it(apps: AppWorld) -> None:
    made = await apps.app(await apps.person(), confidential=True)
    with acting(SERVICE):
        found = (await apps.apps.GetApp(GetAppRequest(client_id=made.client_id))).app
    assert found.confidential
    assert made.client_secret not in str(found)
