"""GetUsers gives services the public side of many accounts at once."""

import uuid

import pytest
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2 import GetUsersRequest

from runtime.context import NOBODY, Caller, acting
from tests.unit.svc_user.world import SERVICE, World, failure


async def test_known_ids_are_answered_once_each_and_unknown_ones_are_absent(world: World) -> None:
    alice, bob = [uuid.UUID((await world.register(name)).user.user_id).bytes for name in ("alice", "bob")]
    answer = await get(world, [alice, world.deps.ids.next().bytes, bob, alice])
    assert sorted(user.username for user in answer) == ["alice", "bob"]


async def test_the_public_side_has_no_email_address_role_counts_or_relationship(world: World) -> None:
    own = (await world.register("alice")).user
    (seen,) = await get(world, [uuid.UUID(own.user_id).bytes])
    assert own.HasField("email")
    own.ClearField("email")
    own.ClearField("role")
    assert seen == own
    for absent in ("email", "role", "relationship", "profile_image_url", "banner_image_url"):
        assert not seen.HasField(absent)
    assert (seen.followers_count, seen.following_count, seen.tweets_count) == (0, 0, 0)
    assert seen.status == user_pb2.USER_STATUS_ACTIVE


async def test_no_ids_are_no_accounts(world: World) -> None:
    assert await get(world, []) == []


@pytest.mark.parametrize("user_ids", [[b"short"], [b"x" * 16] * 401])
async def test_ids_of_another_size_and_more_than_400_are_refused(world: World, user_ids: list[bytes]) -> None:
    with acting(SERVICE):
        error = await failure(world.users.GetUsers(GetUsersRequest(user_ids=user_ids)))
    assert error.reason == "INVALID_REQUEST"
    assert error.fields[0].field.startswith("user_ids")


@pytest.mark.parametrize("caller", [NOBODY, Caller(user_id=b"u" * 16, scopes=("read",))])
async def test_only_services_may_ask(world: World, caller: Caller) -> None:
    with acting(caller):
        assert (await failure(world.users.GetUsers(GetUsersRequest()))).reason == "NOT_ALLOWED"


async def get(world: World, user_ids: list[bytes]) -> list[user_pb2.User]:
    with acting(SERVICE):
        return list((await world.users.GetUsers(GetUsersRequest(user_ids=user_ids))).users)
