"""Authenticate: a password is checked, and no login begins."""

import uuid

from aviary.user.v1.apps_pb2 import AuthenticateRequest

from runtime.context import acting
from tests.unit.svc_user.app_world import AppWorld
from tests.unit.svc_user.world import PASSWORD, SERVICE, failure


async def test_the_owner_of_a_password_is_named_without_a_login(apps: AppWorld) -> None:
    alice = await apps.person()
    before = await apps.logins.list_sessions(uuid.UUID(bytes=alice))
    with acting(SERVICE):
        answer = await apps.apps.Authenticate(AuthenticateRequest(login="alice@example.org", password=PASSWORD))
    assert uuid.UUID(answer.user.user_id).bytes == alice
    assert not answer.user.HasField("email")
    assert await apps.logins.list_sessions(uuid.UUID(bytes=alice)) == before


async def test_a_wrong_password_is_refused_as_a_login_is_and_guessing_is_slowed_down_alike(apps: AppWorld) -> None:
    await apps.person()
    guess = AuthenticateRequest(login="alice", password="wrong horse", client_address="192.0.2.7")
    with acting(SERVICE):
        reasons = [(await failure(apps.apps.Authenticate(guess))).reason for _ in range(12)]
    assert reasons[0] == "CREDENTIALS_WRONG"
    assert reasons[-1] == "TOO_MANY_GUESSES"
