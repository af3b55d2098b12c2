"""ListUsers goes through all accounts, whatever the page size."""

import pytest
from aviary.user.v1.user_pb2 import ListUsersRequest

from runtime.context import NOBODY, acting
from tests.unit.svc_user.world import SERVICE, World, failure


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, None])
async def test_any_page_size_gives_every_account_once(world: World, limit: int | None) -> None:
    expected = {(await world.register(f"user{i}")).user.user_id for i in range(6)}
    listed: list[str] = []
    after = b""
    while True:
        with acting(SERVICE):
            page = await world.users.ListUsers(ListUsersRequest(after=after, limit=limit))
        assert len(page.users) <= (limit or 1000)
        listed += [user.user_id for user in page.users]
        after = page.next_after
        if not after:
            break
    assert len(listed) == len(expected)
    assert set(listed) == expected


async def test_no_accounts_are_an_empty_last_page(world: World) -> None:
    with acting(SERVICE):
        page = await world.users.ListUsers(ListUsersRequest())
    assert (list(page.users), page.next_after) == ([], b"")


async def test_a_listed_account_shows_its_public_side_only(world: World) -> None:
    await world.register("alice")
    with acting(SERVICE):
        (user,) = (await world.users.ListUsers(ListUsersRequest())).users
    assert (user.HasField("email"), user.HasField("role")) == (False, False)


async def test_a_position_that_no_page_gave_is_refused(world: World) -> None:
    with acting(SERVICE):
        assert (await failure(world.users.ListUsers(ListUsersRequest(after=b"x")))).reason == "INVALID_CURSOR"


@pytest.mark.parametrize("limit", [0, 1001])
async def test_a_limit_out_of_bounds_is_refused(world: World, limit: int) -> None:
    with acting(SERVICE):
        error = await failure(world.users.ListUsers(ListUsersRequest(limit=limit)))
    assert [f.field for f in error.fields] == ["limit"]


async def test_only_services_may_list(world: World) -> None:
    with acting(NOBODY):
        assert (await failure(world.users.ListUsers(ListUsersRequest()))).reason == "NOT_ALLOWED"
