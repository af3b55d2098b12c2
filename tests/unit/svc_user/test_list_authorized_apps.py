"""ListAuthorizedApps: what a user let in, latest first."""

from typing import Any

from aviary.user.v1.apps_pb2 import ListAuthorizedAppsRequest, ListAuthorizedAppsResponse

from runtime.context import acting
from tests.unit.svc_user.app_world import AppWorld
from tests.unit.svc_user.world import failure, signed_in


async def listed(apps: AppWorld, user_id: bytes, **asked: Any) -> ListAuthorizedAppsResponse:
    with acting(signed_in(user_id)):
        answer: ListAuthorizedAppsResponse = await apps.apps.ListAuthorizedApps(ListAuthorizedAppsRequest(**asked))
    return answer


async def test_apps_are_listed_latest_first_and_any_page_size_gives_the_same(apps: AppWorld) -> None:
    alice = await apps.person()
    names = [f"App {number}" for number in range(5)]
    for name in names:
        await apps.grant(alice, await apps.app(alice, name=name), scopes=["read"])
        apps.clock.ms += 1000
    for limit in (1, 2, 3, 5):
        found, cursor = [], None
        while True:
            page = await listed(apps, alice, limit=limit, **({"cursor": cursor} if cursor else {}))
            found += [app.name for app in page.apps]
            assert page.has_more == page.HasField("next_cursor")
            if not page.has_more:
                break
            cursor = page.next_cursor
        assert found == names[::-1]


async def test_letting_in_once_more_adds_scopes_and_comes_first(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    await apps.grant(alice, app, scopes=["read"])
    apps.clock.ms += 5
    await apps.grant(alice, await apps.app(alice, name="Other"), scopes=["read"])
    apps.clock.ms += 5
    await apps.grant(alice, app, scopes=["write"])
    found = (await listed(apps, alice)).apps
    assert [(each.name, list(each.scopes)) for each in found] == [("Chirper", ["read", "write"]), ("Other", ["read"])]
    assert found[0].authorized_at.ToMilliseconds() == apps.clock.ms


async def test_a_foreign_cursor_is_refused(apps: AppWorld) -> None:
    alice, bob = await apps.person("alice"), await apps.person("bobby")
    for _ in range(2):
        await apps.grant(alice, await apps.app(alice))
    cursor = (await listed(apps, alice, limit=1)).next_cursor
    assert (await failure(listed(apps, bob, cursor=cursor))).reason == "INVALID_CURSOR"
    assert (await failure(listed(apps, alice, cursor="x"))).reason == "INVALID_CURSOR"
