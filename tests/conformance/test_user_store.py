"""Each promise of UserStore, on the memory store and on a real server."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from outbox import Announcer, CqlOutbox, CqlOutboxTable, Outbox
from runtime.config import MeshConfig
from runtime.cql import Cql
from runtime.errors import InvalidCursor
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from stack import Addresses
from svc_user.domain.accounts import User
from svc_user.domain.logins import Session
from svc_user.domain.names import Claim
from svc_user.events import user_registered
from svc_user.store import SCHEMA, CqlUserStore, UserStore
from svc_user.store_memory import MemoryUserStore

IDS = Uuid7Ids(SystemClock())
SESSION_S = 3600


@pytest_asyncio.fixture(scope="session")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    cql = await Cql.connect(dataclasses.replace(mesh_config, area="user"), SCHEMA)
    yield cql
    await cql.close()


@pytest.fixture(params=["memory", "cql"])
def outbox(request: pytest.FixtureRequest) -> CqlOutbox | MemoryOutbox:
    if request.param == "memory":
        return MemoryOutbox(MemoryBus(), SystemClock())
    return Outbox(CqlOutboxTable(request.getfixturevalue("cql"), SystemClock()), MemoryBus(), SystemClock(), NO_FAULTS)


@pytest.fixture
def store(request: pytest.FixtureRequest, outbox: CqlOutbox | MemoryOutbox) -> UserStore:
    if isinstance(outbox, MemoryOutbox):
        return MemoryUserStore(outbox.write)
    return CqlUserStore(request.getfixturevalue("cql"), outbox, SESSION_S)


def a_key() -> bytes:
    return b"username:" + uuid.uuid4().hex.encode()


def a_user() -> User:
    return User(IDS.next(), "Alice", "Alice Ä", "bio", True, b"sealed")


def a_session() -> Session:
    return Session(IDS.next(), IDS.next(), 0, 1_750_000_000_000)


async def insert(store: UserStore, user: User, password_hash: str | None = "hash") -> User:
    await store.insert_account(user, password_hash, announce=user_registered(user))
    return user


async def test_a_free_name_is_claimed_and_a_claimed_one_is_not(store: UserStore) -> None:
    key, first, second = a_key(), Claim(IDS.next(), imported=True), Claim(IDS.next())
    assert await store.claim(key, first) == first
    assert await store.claim(key, second) == first


async def test_claiming_again_what_one_holds_changes_nothing(store: UserStore) -> None:
    key, mine = a_key(), Claim(IDS.next())
    assert [await store.claim(key, mine) for _ in range(3)] == [mine] * 3


async def test_of_twenty_parallel_claims_one_holds_and_all_learn_which(store: UserStore) -> None:
    key = a_key()
    claims = [Claim(IDS.next()) for _ in range(20)]
    answers = await asyncio.gather(*(store.claim(key, claim) for claim in claims))
    assert len(set(answers)) == 1
    assert answers[0] in claims


async def test_a_claim_is_taken_over_if_it_is_still_the_one_given(store: UserStore) -> None:
    key, dead, mine = a_key(), Claim(IDS.next()), Claim(IDS.next(), imported=True)
    await store.claim(key, dead)
    assert await store.take_over(key, dead, mine) == mine
    assert await store.holders([key]) == {key: mine.user_id}


async def test_a_claim_that_is_another_by_now_is_not_taken_over(store: UserStore) -> None:
    key, dead, quicker, mine = a_key(), Claim(IDS.next()), Claim(IDS.next()), Claim(IDS.next())
    await store.claim(key, quicker)
    assert await store.take_over(key, dead, mine) == quicker


async def test_a_claim_that_is_gone_by_now_is_claimed_instead_of_taken_over(store: UserStore) -> None:
    key, dead, mine = a_key(), Claim(IDS.next()), Claim(IDS.next())
    assert await store.take_over(key, dead, mine) == mine
    assert await store.holders([key]) == {key: mine.user_id}


async def test_of_twenty_parallel_take_overs_one_holds_and_all_learn_which(store: UserStore) -> None:
    key, dead = a_key(), Claim(IDS.next())
    await store.claim(key, dead)
    claims = [Claim(IDS.next()) for _ in range(20)]
    answers = await asyncio.gather(*(store.take_over(key, dead, claim) for claim in claims))
    assert len(set(answers)) == 1
    assert answers[0] in claims


async def test_a_released_name_is_free_again(store: UserStore) -> None:
    key, first, second = a_key(), Claim(IDS.next()), Claim(IDS.next())
    await store.claim(key, first)
    await store.release(key, first)
    assert await store.holders([key]) == {}
    assert await store.claim(key, second) == second


async def test_a_claim_of_somebody_else_is_not_released(store: UserStore) -> None:
    key, theirs = a_key(), Claim(IDS.next())
    await store.claim(key, theirs)
    await store.release(key, Claim(IDS.next()))
    await store.release(a_key(), theirs)
    assert await store.holders([key]) == {key: theirs.user_id}


async def test_holders_are_given_by_name_and_free_names_are_absent(store: UserStore) -> None:
    claims = {a_key(): Claim(IDS.next()) for _ in range(3)}
    for key, claim in claims.items():
        await store.claim(key, claim)
    assert await store.holders([*claims, a_key()]) == {key: claim.user_id for key, claim in claims.items()}
    assert await store.holders([]) == {}


async def test_an_account_is_read_back_whole_with_its_password(store: UserStore) -> None:
    user = await insert(store, a_user())
    assert await store.get_users([user.user_id]) == [user]
    assert await store.password_hash(user.user_id) == "hash"


async def test_an_account_without_a_password_has_none(store: UserStore) -> None:
    user = await insert(store, replace(a_user(), email=b"", bio="", verified=False), None)
    assert await store.get_users([user.user_id]) == [user]
    assert await store.password_hash(user.user_id) is None


async def test_an_account_comes_with_its_announcement(store: UserStore, outbox: Announcer) -> None:
    written, _ = await outbox.backlog()
    await insert(store, a_user())
    assert (await outbox.backlog())[0] == written + 1


async def test_inserting_an_account_again_writes_the_same(store: UserStore) -> None:
    user = a_user()
    for _ in range(3):
        await insert(store, user)
    assert await store.get_users([user.user_id]) == [user]


async def test_unknown_ids_are_absent_and_repeated_ones_come_once(store: UserStore) -> None:
    users = [await insert(store, a_user()) for _ in range(3)]
    asked = [user.user_id for user in users]
    found = await store.get_users([*asked, IDS.next(), *asked])
    assert sorted(user.user_id for user in found) == asked
    assert await store.get_users([]) == []
    assert await store.password_hash(IDS.next()) is None


async def test_a_fenced_account_is_gone_and_stays_gone_however_late_its_batch_comes(store: UserStore) -> None:
    early, late = await insert(store, a_user()), a_user()
    await store.fence(early.user_id)
    await store.fence(late.user_id)
    await insert(store, early)
    await insert(store, late)
    assert await store.get_users([early.user_id, late.user_id]) == []
    assert await store.password_hash(early.user_id) is None
    assert await store.password_hash(late.user_id) is None


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
async def test_following_the_pages_gives_every_account_once_whatever_their_size(store: UserStore, limit: int) -> None:
    users = {user.user_id: user for user in [await insert(store, a_user()) for _ in range(6)]}
    listed: list[User] = []
    after = b""
    while True:
        page = await store.list_users(after, limit)
        assert len(page.users) <= limit
        listed += page.users
        after = page.next_after
        if not after:
            break
    assert len({user.user_id for user in listed}) == len(listed)
    assert {user.user_id: user for user in listed if user.user_id in users} == users


async def test_a_position_that_no_page_gave_is_refused(store: UserStore) -> None:
    with pytest.raises(InvalidCursor):
        await store.list_users(b"x", 10)


async def test_a_login_is_read_back_and_an_unknown_one_is_absent(store: UserStore) -> None:
    session = a_session()
    await store.insert_session(session)
    assert await store.get_session(session.session_id) == session
    assert await store.get_session(IDS.next()) is None


async def test_a_login_is_rotated_from_the_generation_it_has(store: UserStore) -> None:
    session = a_session()
    await store.insert_session(session)
    for generation in range(1, 4):
        after = replace(session, generation=generation, rotated_at_ms=session.rotated_at_ms + 1)
        assert await store.rotate_session(session, after)
        assert not await store.rotate_session(session, after)
        assert await store.get_session(session.session_id) == after
        session = after


async def test_of_ten_parallel_rotations_one_succeeds(store: UserStore) -> None:
    session = a_session()
    await store.insert_session(session)
    after = replace(session, generation=1)
    assert sum(await asyncio.gather(*(store.rotate_session(session, after) for _ in range(10)))) == 1


async def test_an_ended_login_is_absent_and_cannot_be_rotated_back(store: UserStore) -> None:
    session = a_session()
    await store.insert_session(session)
    await store.end_session(session.session_id)
    await store.end_session(session.session_id)
    assert await store.get_session(session.session_id) is None
    assert not await store.rotate_session(session, replace(session, generation=1))
    assert await store.get_session(session.session_id) is None


async def test_the_end_of_a_login_is_no_matter_of_others_and_the_end_of_none_is_harmless(store: UserStore) -> None:
    ended = a_session()
    other = replace(a_session(), user_id=ended.user_id)
    for session in (ended, other):
        await store.insert_session(session)
    for session_id in (ended.session_id, IDS.next()):
        await store.end_session(session_id)
    assert await store.get_session(other.session_id) == other


async def test_a_login_expires_unless_it_is_rotated(servers: Addresses, cql: Cql) -> None:
    """CQL alone: in memory no time passes. Every column starts again with a rotation, none is left behind to expire."""
    store = CqlUserStore(
        cql, Outbox(CqlOutboxTable(cql, SystemClock()), MemoryBus(), SystemClock(), NO_FAULTS), SESSION_S
    )
    session = a_session()
    await store.insert_session(session)
    columns = ("user_id", "generation", "rotated_at_ms")
    ttls = ", ".join(f"TTL({column}), WRITETIME({column})" for column in columns)
    read = cql.prepare(f"SELECT {ttls} FROM sessions WHERE session_id = ?")
    (before,) = await cql.execute(read, (session.session_id,))
    await store.rotate_session(session, replace(session, generation=1))
    (after,) = await cql.execute(read, (session.session_id,))
    assert all(0 < ttl <= SESSION_S for ttl in before[::2] + after[::2])
    assert all(new > old for old, new in zip(before[1::2], after[1::2], strict=True))
