"""WithdrawApp: what a user let in is taken back, with all that followed."""

import asyncio
import uuid
from dataclasses import replace
from typing import Any

from aviary.user.v1.apps_pb2 import WithdrawAppRequest
from aviary.user.v1.events_pb2 import AccountSignal

from runtime.context import acting
from svc_user.domain.apps import Consent
from tests.unit.svc_user.app_world import AppWorld
from tests.unit.svc_user.test_exchange_code import sessions_of
from tests.unit.svc_user.test_list_authorized_apps import listed
from tests.unit.svc_user.world import CallAt, failure, signed_in


async def withdraw(apps: AppWorld, user_id: bytes, client_id: str) -> None:
    with acting(signed_in(user_id)):
        await apps.apps.WithdrawApp(WithdrawAppRequest(client_id=client_id))


async def test_codes_and_logins_of_a_withdrawn_app_end_and_everybody_is_told(apps: AppWorld) -> None:
    told: list[AccountSignal] = []

    async def hear(signal: AccountSignal) -> None:
        told.append(signal)

    await apps.bus.listen(AccountSignal, hear)
    alice = await apps.person()
    app = await apps.app(alice)
    code, tokens = await apps.grant(alice, app), await apps.let_in(alice, app)
    [session] = await sessions_of(apps, alice, app.client_id)

    await withdraw(apps, alice, app.client_id)
    assert (await failure(apps.exchange(app, code))).reason == "GRANT_INVALID"
    assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "GRANT_INVALID"
    assert not (await listed(apps, alice)).apps
    assert session.bytes in [ended for signal in told for ended in signal.ended_sessions]


async def test_withdrawing_touches_neither_other_apps_nor_other_people_nor_ones_own_login(apps: AppWorld) -> None:
    alice, bob = await apps.person("alice"), await apps.person("bobby")
    app, other = await apps.app(alice), await apps.app(alice)
    kept = [(app, await apps.let_in(bob, app)), (other, await apps.let_in(alice, other))]
    await apps.let_in(alice, app)
    await withdraw(apps, alice, app.client_id)
    for of, tokens in kept:
        assert await apps.refresh(of, tokens.refresh_token)
    assert len(await apps.logins.list_sessions(uuid.UUID(bytes=alice))) == 2


async def test_withdrawing_what_was_never_let_in_changes_nothing(apps: AppWorld) -> None:
    alice = await apps.person()
    await withdraw(apps, alice, "nobody")
    await withdraw(apps, alice, (await apps.app(alice)).client_id)


async def test_a_new_consent_starts_anew(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    old = await apps.grant(alice, app, scopes=["read", "write"])
    await withdraw(apps, alice, app.client_id)
    tokens = await apps.let_in(alice, app, scopes=["read"])
    assert (await failure(apps.exchange(app, old))).reason == "GRANT_INVALID", "it is of the consent before"
    assert [list(each.scopes) for each in (await listed(apps, alice)).apps] == [["read"]]
    assert await apps.refresh(app, tokens.refresh_token)


async def test_a_login_that_is_being_made_while_the_app_is_withdrawn_does_not_live(apps: AppWorld) -> None:
    alice = await apps.person()
    app = await apps.app(alice)
    code = await apps.grant(alice, app)
    withdrawing: list[asyncio.Task[None]] = []

    class Slowly:
        """The login is stored only after the withdrawal has looked for logins and found none."""

        def __getattr__(self, name: str) -> Any:
            return getattr(apps.logins, name)

        async def insert_session(self, session: Any) -> None:
            await asyncio.wait(withdrawing)
            await apps.logins.insert_session(session)

    def begin() -> None:
        withdrawing.append(asyncio.ensure_future(withdraw(apps, alice, app.client_id)))

    apps.change(faults=CallAt("user.exchange.after_code", begin), logins=Slowly())
    assert (await failure(apps.exchange(app, code))).reason == "GRANT_INVALID"
    assert await sessions_of(apps, alice, app.client_id) == []


async def test_under_a_withdrawal_that_was_cut_off_nothing_is_refreshed(apps: AppWorld) -> None:
    def die() -> None:
        raise RuntimeError("killed")

    alice = await apps.person()
    app = await apps.app(alice)
    tokens = await apps.let_in(alice, app)
    apps.change(faults=CallAt("user.withdraw.after_mark", die))
    assert (await failure(withdraw(apps, alice, app.client_id))).reason == "INTERNAL"
    assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "GRANT_INVALID"
    assert await sessions_of(apps, alice, app.client_id) == []


async def test_a_slow_withdrawal_does_not_forget_a_consent_that_was_given_after_it(apps: AppWorld) -> None:
    """Somebody else finished it meanwhile; the app was let in again, twice, so that the numbers of both are the same."""
    alice = await apps.person()
    app = await apps.app(alice)
    await apps.let_in(alice, app)

    class Slowly:
        """The consent is removed late."""

        def __getattr__(self, name: str) -> Any:
            return getattr(apps.app_store, name)

        async def delete_consent(self, consent: Consent) -> None:
            apps.change(apps=apps.app_store)
            await withdraw(apps, alice, app.client_id)
            for _ in range(2):
                await apps.let_in(alice, app)
            await apps.app_store.delete_consent(consent)

    apps.change(apps=Slowly())
    await withdraw(apps, alice, app.client_id)
    assert [each.client_id for each in (await listed(apps, alice)).apps] == [app.client_id]


async def test_a_withdrawal_that_was_cut_off_is_finished_before_a_new_consent(apps: AppWorld) -> None:
    """Whoever died after the mark left logins: they must not live on under the consent that comes next."""
    alice = await apps.person()
    app = await apps.app(alice)
    tokens = await apps.let_in(alice, app)
    before = await apps.app_store.get_consent(uuid.UUID(bytes=alice), app.client_id)
    assert before is not None
    await apps.app_store.put_consent(before, replace(before, withdrawn=True, revision=before.revision + 1))
    assert [each.client_id for each in (await listed(apps, alice)).apps] == [app.client_id], "its owner may press again"

    await apps.let_in(alice, app)
    assert (await failure(apps.refresh(app, tokens.refresh_token))).reason == "GRANT_INVALID"
    assert len(await sessions_of(apps, alice, app.client_id)) == 1
