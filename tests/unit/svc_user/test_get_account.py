"""GetAccount shows an account to its owner and to nobody else."""

import uuid

from aviary.user.v1.user_pb2 import GetAccountRequest, ImportUserRequest

from runtime.context import NOBODY, acting
from tests.unit.svc_user.world import SERVICE, World, failure, signed_in


async def test_the_owner_sees_email_address_and_role(world: World) -> None:
    registered = await world.register("alice", email="Alice@example.org")
    with acting(signed_in(uuid.UUID(registered.user.user_id).bytes)):
        answer = await world.users.GetAccount(GetAccountRequest())
    assert answer.user == registered.user
    assert (answer.user.email, answer.user.role) == ("Alice@example.org", "user")


async def test_an_app_is_not_shown_the_email_address(world: World) -> None:
    alice = uuid.UUID((await world.register("alice")).user.user_id).bytes
    with acting(signed_in(alice, "read")):
        user = (await world.users.GetAccount(GetAccountRequest())).user
    assert (user.username, user.HasField("email")) == ("alice", False)


async def test_an_imported_account_has_no_email_address(world: World) -> None:
    with acting(SERVICE):
        imported = await world.users.ImportUser(ImportUserRequest(username="alice", display_name="Alice"))
    with acting(signed_in(imported.user_id)):
        answer = await world.users.GetAccount(GetAccountRequest())
    assert not answer.user.HasField("email")
    assert answer.user.role == "user"


async def test_a_caller_without_an_account_is_told_so(world: World) -> None:
    with acting(signed_in(world.deps.ids.next().bytes)):
        assert (await failure(world.users.GetAccount(GetAccountRequest()))).reason == "USER_NOT_FOUND"


async def test_nobody_in_particular_has_no_account(world: World) -> None:
    for caller in (NOBODY, SERVICE):
        with acting(caller):
            assert (await failure(world.users.GetAccount(GetAccountRequest()))).reason == "TOKEN_MISSING"


async def test_a_token_without_the_scope_is_refused(world: World) -> None:
    registered = await world.register("alice")
    with acting(signed_in(uuid.UUID(registered.user.user_id).bytes, "write")):
        assert (await failure(world.users.GetAccount(GetAccountRequest()))).reason == "INSUFFICIENT_SCOPE"
