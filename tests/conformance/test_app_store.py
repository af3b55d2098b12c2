"""Each promise of AppStore, on the memory store and on a real server."""

import asyncio
import dataclasses
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from cql_client import Cql
from idempotency import KEPT_S
from runtime.config import MeshConfig
from runtime.ids import SystemClock, Uuid7Ids
from svc_user.domain.apps import App, AppClaim, Code, CodeState, Consent
from svc_user.store import SCHEMA
from svc_user.store_apps import CODE_KEPT_S, AppStore, CqlAppStore
from svc_user.store_apps_memory import MemoryAppStore
from tests.unit.svc_user.world import SetClock

IDS = Uuid7Ids(SystemClock())
NOW_MS = 1_750_000_000_000


@pytest_asyncio.fixture(scope="session")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    cql = await Cql.connect(dataclasses.replace(mesh_config, area="user"), SCHEMA)
    yield cql
    await cql.close()


@pytest.fixture(params=["memory", "cql"])
def store(request: pytest.FixtureRequest) -> AppStore:
    return MemoryAppStore(SystemClock()) if request.param == "memory" else CqlAppStore(request.getfixturevalue("cql"))


def an_app() -> App:
    return App(str(IDS.next()), IDS.next(), "Chirper", ("https://a.example/", "com.example.a:/b"), ("read", "write"))


def a_consent(user_id: uuid.UUID | None = None) -> Consent:
    return Consent(user_id or IDS.next(), str(IDS.next()), IDS.next(), 0, ("read",), NOW_MS)


def a_code() -> Code:
    return Code(
        code_hash=os.urandom(32),
        client_id=str(IDS.next()),
        user_id=IDS.next(),
        consent_id=IDS.next(),
        session_id=IDS.next(),
        redirect_uri="https://a.example/",
        scopes=("read", "write"),
        challenge="c" * 43,
        password_us=7,
        granted_at_ms=NOW_MS,
    )


def a_claim() -> AppClaim:
    return AppClaim(os.urandom(32), str(IDS.next()), os.urandom(32))


async def test_a_key_stands_for_what_claimed_it_first(store: AppStore) -> None:
    user_id, first = IDS.next(), a_claim()
    assert await store.claim(user_id, "k", first) == first
    assert await store.claim(user_id, "k", a_claim()) == first
    assert await store.claim(user_id, "k", first) == first, "also for who repeats it, not knowing"


async def test_of_parallel_claims_one_wins_and_all_get_it(store: AppStore) -> None:
    """P37."""
    user_id, wanted = IDS.next(), [a_claim() for _ in range(8)]
    got = await asyncio.gather(*(store.claim(user_id, "k", claim) for claim in wanted))
    assert len(set(got)) == 1
    assert got[0] in wanted


async def test_keys_of_others_and_other_keys_are_other_keys(store: AppStore) -> None:
    one, other = IDS.next(), IDS.next()
    for user_id, key in ((one, "k"), (other, "k"), (one, "K")):
        public = replace(a_claim(), secret_hash=b"")
        assert await store.claim(user_id, key, public) == public
        assert await store.claim(user_id, key, a_claim()) == public


async def test_a_key_in_memory_is_free_again_after_a_day() -> None:
    clock = SetClock()
    store, user_id, first, second = MemoryAppStore(clock), IDS.next(), a_claim(), a_claim()
    await store.claim(user_id, "k", first)
    clock.ms += KEPT_S * 1000 - 1
    assert await store.claim(user_id, "k", second) == first
    clock.ms += 1
    assert await store.claim(user_id, "k", second) == second


async def test_a_key_in_cql_is_known_for_a_day(cql: Cql) -> None:
    user_id = IDS.next()
    await CqlAppStore(cql).claim(user_id, "k", a_claim())
    statement = cql.prepare("SELECT TTL(client_id) FROM idempotency WHERE user_id = ? AND key = ?")
    [row] = await cql.execute(statement, (user_id, "k"))
    assert KEPT_S - 60 <= row[0] <= KEPT_S


async def test_apps_are_found_by_id_as_they_were_stored_and_unknown_ids_are_absent(store: AppStore) -> None:
    public, confidential = an_app(), replace(an_app(), secret_hash=b"h" * 32)
    for app in (public, confidential, public):
        await store.insert_app(app)
    found = await store.get_apps([public.client_id, confidential.client_id, "nobody"])
    assert found == {public.client_id: public, confidential.client_id: confidential}
    assert await store.get_apps([]) == {}


async def test_a_consent_is_stored_once_and_replaced_from_its_revision_alone(store: AppStore) -> None:
    first = a_consent()
    assert await store.get_consent(first.user_id, first.client_id) is None
    assert await store.put_consent(None, first)
    assert not await store.put_consent(None, replace(first, consent_id=IDS.next()))
    assert await store.get_consent(first.user_id, first.client_id) == first

    second = replace(first, revision=1, scopes=("read", "write"), authorized_at_ms=NOW_MS + 1, withdrawn=True)
    assert await store.put_consent(first, second)
    assert not await store.put_consent(first, replace(second, withdrawn=False))
    assert await store.get_consent(first.user_id, first.client_id) == second


async def test_of_parallel_writes_of_a_consent_one_wins(store: AppStore) -> None:
    first = a_consent()
    fresh = [replace(first, consent_id=IDS.next()) for _ in range(8)]
    assert sum(await asyncio.gather(*(store.put_consent(None, each) for each in fresh))) == 1


async def test_a_consent_is_removed_from_its_revision_alone_and_may_come_again(store: AppStore) -> None:
    first = a_consent()
    await store.put_consent(None, first)
    await store.delete_consent(replace(first, revision=5))
    assert await store.get_consent(first.user_id, first.client_id) == first
    await store.delete_consent(first)
    await store.delete_consent(first)
    assert await store.get_consent(first.user_id, first.client_id) is None
    assert not await store.put_consent(first, replace(first, revision=1)), "what is gone is not brought back"
    assert await store.put_consent(None, first)


async def test_a_later_consent_of_the_same_revision_is_another_one(store: AppStore) -> None:
    first = a_consent()
    await store.put_consent(None, first)
    await store.delete_consent(first)
    later = replace(first, consent_id=IDS.next())
    await store.put_consent(None, later)
    await store.delete_consent(first)
    assert not await store.put_consent(first, replace(first, revision=1, withdrawn=True))
    assert await store.get_consent(first.user_id, first.client_id) == later


async def test_the_consents_of_a_user_are_listed_whole_and_no_others(store: AppStore) -> None:
    user_id = IDS.next()
    own = [a_consent(user_id) for _ in range(3)]
    for consent in (*own, a_consent()):
        await store.put_consent(None, consent)
    await store.delete_consent(own[0])
    found = await store.list_consents(user_id)
    assert sorted(found, key=lambda each: each.client_id) == sorted(own[1:], key=lambda each: each.client_id)
    assert await store.list_consents(IDS.next()) == []


async def test_a_code_is_found_as_it_was_stored_and_an_unknown_one_is_none(store: AppStore) -> None:
    code = a_code()
    await store.insert_code(code)
    assert await store.get_code(code.code_hash) == code
    assert await store.get_code(os.urandom(32)) is None


async def test_exactly_one_of_all_uses_a_code_and_is_told_so_again(store: AppStore) -> None:
    code = a_code()
    await store.insert_code(code)
    uses = [IDS.next() for _ in range(8)]
    won = await asyncio.gather(*(store.use_code(code.code_hash, use) for use in uses))
    assert sum(won) == 1
    assert [await store.use_code(code.code_hash, use) for use in uses] == won
    assert await store.get_code(code.code_hash) == replace(code, state=CodeState.USED)


async def test_nobody_uses_a_code_that_is_unknown(store: AppStore) -> None:
    code_hash = os.urandom(32)
    assert not await store.use_code(code_hash, IDS.next())
    await store.repeat_code(code_hash)
    assert await store.get_code(code_hash) is None


async def test_a_used_code_is_marked_as_repeated_for_good(store: AppStore) -> None:
    code = a_code()
    await store.insert_code(code)
    await store.repeat_code(code.code_hash)
    assert await store.get_code(code.code_hash) == code, "it was not used"
    use = IDS.next()
    await store.use_code(code.code_hash, use)
    await store.repeat_code(code.code_hash)
    await store.repeat_code(code.code_hash)
    assert await store.get_code(code.code_hash) == replace(code, state=CodeState.REPEATED)
    assert not await store.use_code(code.code_hash, IDS.next())


async def test_a_code_is_known_for_a_day(cql: Cql) -> None:
    code = a_code()
    await CqlAppStore(cql).insert_code(code)
    statement = cql.prepare("SELECT TTL(client_id) FROM codes WHERE code_hash = ?")
    [row] = await cql.execute(statement, (code.code_hash,))
    assert CODE_KEPT_S - 60 <= row[0] <= CODE_KEPT_S
