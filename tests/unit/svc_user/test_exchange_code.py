"""ExchangeCode: once, for who asked, within a minute; a second time ends what the first made."""

import asyncio
import uuid
from typing import Any

import jwt
import pytest
from aviary.user.v1.user_pb2 import ChangePasswordRequest

from runtime.context import acting
from svc_user.domain.apps import hashed
from tests.unit.svc_user.app_world import VERIFIER, AppWorld
from tests.unit.svc_user.world import PASSWORD, SIGNING_KEY, CallAt, failure, signed_in


def claims(token: str) -> dict[str, Any]:
    options = {"verify_exp": False, "verify_iat": False}
    return dict(jwt.decode(token, SIGNING_KEY.public_key(), algorithms=["EdDSA"], audience="aviary", options=options))


async def sessions_of(apps: AppWorld, user_id: bytes, client_id: str) -> list[uuid.UUID]:
    listed = await apps.logins.list_sessions(uuid.UUID(bytes=user_id))
    return [session.session_id for session in listed if session.client_id == client_id]


async def test_a_code_makes_a_login_of_the_app_with_what_was_granted_alone(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    tokens = await apps.let_in(alice, app, scopes=["read"])
    assert claims(tokens.access_token)["scope"] == "read"
    assert (list(tokens.scopes), tokens.expires_in) == (["read"], 900)
    [session] = [s for s in await apps.logins.list_sessions(uuid.UUID(bytes=alice)) if s.client_id]
    assert (session.client_id, session.client, session.scopes) == (app.client_id, "Chirper", ("read",))


async def test_a_code_that_comes_twice_ends_the_login_that_it_made(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    tokens = await apps.exchange(app, code)

    assert (await failure(apps.exchange(app, code))).reason == "GRANT_INVALID"
    assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "GRANT_INVALID"
    assert await sessions_of(apps, alice, app.client_id) == []


async def test_a_code_that_comes_again_long_after_still_ends_the_login(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    tokens = await apps.exchange(app, code)
    apps.clock.ms += 3_600_000
    assert (await failure(apps.exchange(app, code))).reason == "GRANT_INVALID"
    assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "GRANT_INVALID"


async def test_a_code_that_comes_twice_at_once_makes_no_login_that_lives(apps: AppWorld) -> None:
    """The second is refused before the first has made the login: whoever made it must find out."""
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    second: list[asyncio.Task[Any]] = []

    class Slowly:
        """The login of the first is stored only after the second was refused."""

        def __getattr__(self, name: str) -> Any:
            return getattr(apps.logins, name)

        async def insert_session(self, session: Any) -> None:
            await asyncio.wait(second)
            await apps.logins.insert_session(session)

    def again() -> None:
        second.append(asyncio.ensure_future(failure(apps.exchange(app, code))))

    apps.change(faults=CallAt("user.exchange.after_code", again), logins=Slowly())
    first = await failure(apps.exchange(app, code))
    assert first.reason == "GRANT_INVALID"
    assert (await second[0]).reason == "GRANT_INVALID"
    assert await sessions_of(apps, alice, app.client_id) == []


async def test_of_parallel_exchanges_no_login_is_left(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    await asyncio.gather(*(apps.exchange(app, code) for _ in range(10)), return_exceptions=True)
    assert await sessions_of(apps, alice, app.client_id) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"code_verifier": VERIFIER + "="},
        {"redirect_uri": "https://app.example/other"},
        {"redirect_uri": ""},
        {"code": "x" * 43},
    ],
)
async def test_who_has_a_code_without_what_fits_it_gets_and_spoils_nothing(
    apps: AppWorld, changed: dict[str, str]
) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    assert (await failure(apps.exchange(app, **{"code": code, **changed}))).reason == "GRANT_INVALID"
    tokens = await apps.exchange(app, code)
    assert (await failure(apps.exchange(app, **{"code": code, **changed}))).reason == "GRANT_INVALID"
    assert await apps.refresh(app, tokens.refresh_token)


async def test_a_code_is_worth_nothing_to_another_app(apps: AppWorld) -> None:
    alice = await apps.person()
    app, other = await apps.app(alice), await apps.app(alice)
    code = await apps.grant(alice, app)
    assert (await failure(apps.exchange(other, code))).reason == "GRANT_INVALID"
    assert await apps.exchange(app, code)


async def test_a_code_is_good_for_a_minute(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    late, intime = await apps.grant(alice, app), await apps.grant(alice, app)
    apps.clock.ms += 59_999
    assert await apps.exchange(app, intime)
    apps.clock.ms += 1
    assert (await failure(apps.exchange(app, late))).reason == "GRANT_INVALID"


@pytest.mark.parametrize("secret", ["", "x" * 43])
async def test_an_app_that_has_a_secret_shows_it(apps: AppWorld, secret: str) -> None:
    alice = await apps.person()
    app = await apps.app(alice, confidential=True)
    code = await apps.grant(alice, app)
    assert (await failure(apps.exchange(app, code, client_secret=secret))).reason == "CLIENT_INVALID"
    assert await apps.exchange(app, code)


async def test_an_app_without_a_secret_shows_none_and_an_unknown_one_is_refused(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    assert (await failure(apps.exchange(app, code, client_secret="x"))).reason == "CLIENT_INVALID"
    assert (await failure(apps.exchange(app, code, client_id="nobody"))).reason == "CLIENT_INVALID"


async def test_a_password_changed_since_the_consent_ends_what_comes_of_it(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    apps.clock.ms += 1000
    change = ChangePasswordRequest(current_password=PASSWORD, new_password="another horse battery")
    with acting(signed_in(alice)):
        await apps.users.ChangePassword(change)
    tokens = await apps.exchange(app, code)
    assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "GRANT_INVALID"


async def test_a_password_changed_between_its_proof_and_the_consent_ends_what_comes_of_it(apps: AppWorld) -> None:
    """Checking a password may wait for seconds while many log in; meanwhile its owner changes it to keep somebody out."""
    alice = await apps.person()
    app = await apps.app(alice)
    proven = await apps.password_us(alice)
    apps.clock.ms += 1000
    with acting(signed_in(alice)):
        await apps.users.ChangePassword(
            ChangePasswordRequest(current_password=PASSWORD, new_password="another horse battery")
        )
    tokens = await apps.exchange(app, await apps.grant(alice, app, password_us=proven))
    assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "GRANT_INVALID"


async def test_of_a_crash_between_code_and_login_nothing_is_left_but_a_clear_error(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    assert await apps.app_store.use_code(hashed(code), apps.deps.ids.next())  # and then the process died
    assert (await failure(apps.exchange(app, code))).reason == "GRANT_INVALID"
    assert await sessions_of(apps, alice, app.client_id) == []
    assert await apps.let_in(alice, app)
