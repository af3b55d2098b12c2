"""RegisterApp: an app is found as it was registered, and what none may have is refused."""

import asyncio
import hashlib

import pytest
from aviary.user.v1.apps_pb2 import GetAppRequest

from idempotency import KEPT_S
from runtime.config import Secret
from runtime.context import acting
from runtime.errors import Unavailable
from svc_user.tokens import TokenIssuer
from tests.unit.svc_user.app_world import REDIRECT, AppWorld
from tests.unit.svc_user.world import SERVICE, SIGNING_KEY, CallAt, failure


async def test_an_app_is_found_as_it_was_registered(apps: AppWorld) -> None:
    made = await apps.app(await apps.person(), scopes=["read", "follow"])
    with acting(SERVICE):
        found = (await apps.apps.GetApp(GetAppRequest(client_id=made.client_id))).app
    assert (found.name, list(found.redirect_uris), list(found.scopes)) == ("Chirper", [REDIRECT], ["read", "follow"])
    assert not found.confidential
    assert found.created_at == made.created_at
    assert not made.HasField("client_secret")


async def test_a_secret_is_stored_as_a_hash(apps: AppWorld) -> None:
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
    "given",
    [
        {"name": ""},
        {"name": " \u3000"},
        {"name": "a\nb"},
        {"name": "yraivA\u202e"},
        {"redirect_uris": []},
        {"scopes": []},
        {"scopes": ["account"]},
    ],
)
async def test_what_no_app_may_have_is_refused(apps: AppWorld, given: dict[str, object]) -> None:
    """`account` above all: no app is ever granted the account itself. A name on the consent page reads as it is written."""
    assert (await failure(apps.app(await apps.person(), **given))).reason == "INVALID_REQUEST"


async def test_a_key_makes_one_app_whose_answer_is_always_the_same_p37(apps: AppWorld) -> None:
    """Promise 7: id and secret too, and the secret that was told is the one that holds."""
    alice = await apps.person()
    answers = await asyncio.gather(*(apps.app(alice, confidential=True, idempotency_key="k") for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    await apps.revoke(answers[0])
    apps.clock.ms += KEPT_S * 1000 - 1
    assert await apps.app(alice, confidential=True, idempotency_key="k") == answers[0]
    apps.clock.ms += 1
    assert (await apps.app(alice, confidential=True, idempotency_key="k")).client_id != answers[0].client_id


async def test_without_a_key_and_with_another_and_for_another_user_it_is_another_app(apps: AppWorld) -> None:
    alice, bob = await apps.person(), await apps.person("bob")
    owners_and_keys = [(alice, ""), (alice, ""), (alice, "k"), (alice, "K"), (bob, "k")]
    made = [await apps.app(owner, confidential=True, idempotency_key=key) for owner, key in owners_and_keys]
    assert len({app.client_id for app in made}) == len({app.client_secret for app in made}) == len(made)


@pytest.mark.parametrize(
    "other",
    [{"name": "Other"}, {"redirect_uris": [f"{REDIRECT}2"]}, {"scopes": ["read"]}, {"confidential": True}],
    ids=lambda other: next(iter(other)),
)
async def test_a_key_with_another_body_is_refused(apps: AppWorld, other: dict[str, object]) -> None:
    alice = await apps.person()
    await apps.app(alice, idempotency_key="k")
    assert (await failure(apps.app(alice, idempotency_key="k", **other))).reason == "IDEMPOTENCY_KEY_REUSED"


async def test_what_is_refused_claims_nothing(apps: AppWorld) -> None:
    alice = await apps.person()
    await failure(apps.app(alice, idempotency_key="k", redirect_uris=["http://app.example/"]))
    assert (await apps.app(alice, idempotency_key="k")).client_id


@pytest.mark.parametrize("point", ["user.app.after_claim", "user.app.after_store"])
async def test_who_dies_after_a_write_leaves_an_app_that_the_retry_finishes(apps: AppWorld, point: str) -> None:
    seen: list[str] = []

    def die() -> None:
        seen.append(point)
        if len(seen) == 1:
            raise Unavailable("as if dead")

    alice = await apps.person()
    before = apps.clock.ms
    apps.change(faults=CallAt(point, die))
    await failure(apps.app(alice, confidential=True, idempotency_key="k"))
    apps.clock.ms += 5000
    made = await apps.app(alice, confidential=True, idempotency_key="k")
    assert made.created_at.ToMilliseconds() == before, "the retry made another app"
    await apps.revoke(made)


async def test_a_secret_told_before_the_key_of_secrets_was_changed_holds_and_is_not_told_wrongly(
    apps: AppWorld,
) -> None:
    alice = await apps.person()
    told = await apps.app(alice, confidential=True, idempotency_key="k")
    public = await apps.app(alice, idempotency_key="p")
    apps.change(tokens=TokenIssuer(SIGNING_KEY, Secret(b"R" * 32), apps.clock, access_s=900))
    again = await failure(apps.app(alice, confidential=True, idempotency_key="k"))
    assert again.reason == "IDEMPOTENCY_KEY_REUSED"
    await apps.revoke(told)
    assert await apps.app(alice, idempotency_key="p") == public


@pytest.mark.parametrize("key", ["k" * 65, "tab\t", "é"])
async def test_a_key_that_is_none_is_refused(apps: AppWorld, key: str) -> None:
    assert (await failure(apps.app(await apps.person(), idempotency_key=key))).reason == "INVALID_REQUEST"
