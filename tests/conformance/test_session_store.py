"""Each promise of SessionStore, on the memory store and on a real server."""

import asyncio
import dataclasses
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import pytest_asyncio
from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2

from cql_client import Applied, Cql, OutcomeUnknown, Statement
from outbox import CqlOutboxTable, Outbox
from runtime.config import MeshConfig
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from svc_user.domain.accounts import User
from svc_user.domain.logins import Password, Session, Standing
from svc_user.events import user_registered
from svc_user.store import SCHEMA, CqlUserStore, UserStore
from svc_user.store_memory import MemoryUserStore
from svc_user.store_sessions import CqlSessionStore, SessionStore
from svc_user.store_sessions_memory import MemorySessionStore

IDS = Uuid7Ids(SystemClock())
SESSION_S = 3600
NOW_MS = 1_750_000_000_000


@dataclass
class Both:
    """Accounts and what belongs to them."""

    accounts: UserStore
    logins: SessionStore

    async def account(self, password_hash: str | None = "hash") -> uuid.UUID:
        """A new account."""
        user = User(IDS.next(), "Alice", "Alice")
        await self.accounts.insert_account(user, password_hash, announce=user_registered(user))
        return user.user_id


@pytest_asyncio.fixture(scope="session")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    cql = await Cql.connect(dataclasses.replace(mesh_config, area="user"), SCHEMA)
    yield cql
    await cql.close()


@pytest.fixture(params=["memory", "cql"])
def both(request: pytest.FixtureRequest) -> Both:
    if request.param == "memory":
        accounts = MemoryUserStore(MemoryOutbox(MemoryBus(), SystemClock()).write)
        return Both(accounts, MemorySessionStore(accounts))
    cql = request.getfixturevalue("cql")
    outbox = Outbox(CqlOutboxTable(cql, SystemClock()), MemoryBus(), SystemClock(), NO_FAULTS)
    return Both(CqlUserStore(cql, outbox), CqlSessionStore(cql, SESSION_S))


@pytest.fixture
def store(both: Both) -> SessionStore:
    return both.logins


def a_session(user_id: uuid.UUID | None = None) -> Session:
    return Session(IDS.next(), user_id or IDS.next(), 0, NOW_MS, last_seen_ms=NOW_MS)


def an_apps_session() -> Session:
    return replace(
        a_session(),
        generation=3,
        earlier_ms=(NOW_MS - 5, NOW_MS - 3),
        last_seen_ms=NOW_MS + 1,
        client="Wren ü 1.0",
        address="2001:db8::1",
        client_id="wren",
        scopes=("read", "write"),
        password_us=7,
    )


async def test_a_login_is_read_back_whole_and_an_unknown_one_is_absent(store: SessionStore) -> None:
    for session in (a_session(), an_apps_session(), replace(a_session(), scopes=())):
        await store.insert_session(session)
        assert await store.get_session(session.session_id) == session
    assert await store.get_session(IDS.next()) is None


async def test_a_login_is_rotated_from_the_generation_it_has(store: SessionStore) -> None:
    session = a_session()
    await store.insert_session(session)
    for generation in range(1, 4):
        after = replace(an_apps_session(), session_id=session.session_id, generation=generation)
        assert await store.rotate_session(session, after)
        assert not await store.rotate_session(session, after)
        assert await store.get_session(session.session_id) == after
        session = after


async def test_an_insert_that_is_repeated_after_the_end_begins_nothing(store: SessionStore) -> None:
    session = a_session()
    for _ in range(2):
        await store.insert_session(session)
        await store.end_session(session.session_id)
    await store.insert_session(session)
    assert await store.get_session(session.session_id) is None
    assert await store.get_sessions([session.session_id]) == []
    assert await store.list_sessions(session.user_id) == []


async def test_a_login_that_was_ended_before_it_was_inserted_does_not_begin(store: SessionStore) -> None:
    session = a_session()
    await store.end_session(session.session_id)
    await store.insert_session(session)
    assert await store.get_session(session.session_id) is None


async def test_an_insert_that_is_repeated_changes_nothing_of_a_login_that_went_on(store: SessionStore) -> None:
    session = a_session()
    await store.insert_session(session)
    await store.rotate_session(session, replace(session, generation=1))
    await store.insert_session(session)
    assert await store.get_session(session.session_id) == replace(session, generation=1)


class Silent:
    """A server whose first answer to a conditional write is lost; meanwhile something else happens."""

    def __init__(self, cql: Cql, happens: Callable[[], Awaitable[None]]) -> None:
        self._cql = cql
        self._happens: Callable[[], Awaitable[None]] | None = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cql, name)

    async def apply_lwt(self, statement: Statement, params: Sequence[Any]) -> Applied:
        answer = await self._cql.apply_lwt(statement, params)
        if (happens := self._happens) is None:
            return answer
        self._happens = None
        await happens()
        raise OutcomeUnknown("no answer")


async def test_a_login_that_is_ended_while_its_insert_is_repeated_stays_ended(cql: Cql) -> None:
    """CQL alone: in memory every outcome is known. Its owner ends it on the list of logins, before it is answered."""
    session, store = a_session(), CqlSessionStore(cql, SESSION_S)

    async def end() -> None:
        assert await store.list_sessions(session.user_id) == [session]
        await store.end_session(session.session_id)

    await CqlSessionStore(cast(Cql, Silent(cql, end)), SESSION_S).insert_session(session)
    assert await store.get_session(session.session_id) is None
    assert await store.list_sessions(session.user_id) == []


async def test_of_a_login_that_has_ended_a_mark_is_left_for_a_minute_and_nothing_personal(cql: Cql) -> None:
    """CQL alone: in memory no time passes."""
    session, store = an_apps_session(), CqlSessionStore(cql, SESSION_S)
    await store.insert_session(session)
    await store.end_session(session.session_id)
    everything = cql.prepare("SELECT JSON * FROM sessions WHERE session_id = ?")
    ((text,),) = await cql.execute(everything, (session.session_id,))
    left = {name: value for name, value in json.loads(text).items() if value is not None}
    assert left == {"session_id": str(session.session_id), "ended": True}
    marked = cql.prepare("SELECT TTL(ended) FROM sessions WHERE session_id = ?")
    assert (await cql.execute(marked, (session.session_id,)))[0][0] <= 60


async def test_of_ten_parallel_rotations_one_succeeds(store: SessionStore) -> None:
    session = a_session()
    await store.insert_session(session)
    after = replace(session, generation=1)
    assert sum(await asyncio.gather(*(store.rotate_session(session, after) for _ in range(10)))) == 1


async def test_an_ended_login_is_absent_and_cannot_be_rotated_back(store: SessionStore) -> None:
    session = a_session()
    await store.insert_session(session)
    await store.end_session(session.session_id)
    await store.end_session(session.session_id)
    assert await store.get_session(session.session_id) is None
    assert not await store.rotate_session(session, replace(session, generation=1))
    assert await store.get_session(session.session_id) is None


async def test_the_end_of_a_login_is_no_matter_of_others_and_the_end_of_none_is_harmless(store: SessionStore) -> None:
    ended = a_session()
    other = a_session(ended.user_id)
    for session in (ended, other):
        await store.insert_session(session)
    for session_id in (ended.session_id, IDS.next()):
        await store.end_session(session_id)
    assert await store.get_session(other.session_id) == other


async def test_of_many_logins_those_are_found_that_have_not_ended_each_once(store: SessionStore) -> None:
    sessions = [a_session() for _ in range(5)]
    for session in sessions:
        await store.insert_session(session)
    await store.end_session(sessions[2].session_id)
    asked = [session.session_id for session in sessions]
    found = await store.get_sessions([*asked, IDS.next(), *asked])
    assert sorted(found, key=lambda s: s.session_id) == sessions[:2] + sessions[3:]
    assert await store.get_sessions([]) == []


async def test_the_logins_of_an_account_are_listed_until_they_end(store: SessionStore) -> None:
    mine = [a_session(user_id) for user_id in [IDS.next()] * 3]
    user_id = mine[0].user_id
    for session in (*mine, a_session()):
        await store.insert_session(session)
    assert sorted(await store.list_sessions(user_id), key=lambda s: s.session_id) == mine
    assert await store.count_listed(user_id) == 3
    await store.end_session(mine[1].session_id)
    assert sorted(await store.list_sessions(user_id), key=lambda s: s.session_id) == [mine[0], mine[2]]
    assert await store.list_sessions(IDS.next()) == []
    assert await store.count_listed(IDS.next()) == 0


async def test_an_ended_login_is_known_as_its_accounts_until_it_is_taken_off_the_list(store: SessionStore) -> None:
    session, other = a_session(), a_session()
    for one in (session, other):
        await store.insert_session(one)
    await store.end_session(session.session_id)
    assert await store.is_listed(session.user_id, session.session_id)
    assert not await store.is_listed(other.user_id, session.session_id)
    for _ in range(2):
        await store.unlist_session(session.user_id, session.session_id)
    assert not await store.is_listed(session.user_id, session.session_id)
    assert await store.is_listed(other.user_id, other.session_id)


async def test_a_password_is_that_of_the_registration_until_it_is_changed(both: Both) -> None:
    user_id, other = await both.account(), await both.account(None)
    assert await both.logins.password(user_id) == Password("hash", 0)
    await both.logins.set_password(user_id, Password("new", 5_000_000_000_000_000), IDS.next())
    assert await both.logins.password(user_id) == Password("new", 5_000_000_000_000_000)
    assert await both.logins.password(other) is None
    assert await both.logins.password(IDS.next()) is None


async def test_of_two_changes_of_a_password_the_later_one_stays_whichever_comes_last(both: Both) -> None:
    user_id, login = await both.account(), IDS.next()
    early, late = 5_000_000_000_000_000, 5_000_000_000_000_001
    await both.logins.set_password(user_id, Password("late", late), login)
    await both.logins.set_password(user_id, Password("early", early), IDS.next())
    assert await both.logins.password(user_id) == Password("late", late)
    assert (await both.logins.standings([user_id]))[user_id].kept_login == login


async def test_the_standing_of_accounts_says_what_their_logins_depend_on(both: Both) -> None:
    user_id, changed = await both.account(), await both.account()
    login = IDS.next()
    await both.logins.set_password(changed, Password("new", 5_000_000_000_000_000), login)
    active, nothing = user_pb2.USER_STATUS_ACTIVE, mesh_pb2.ROLE_UNSPECIFIED
    assert await both.logins.standings([user_id, changed, IDS.next(), user_id]) == {
        user_id: Standing(user_id, active, nothing),
        changed: Standing(changed, active, nothing, 5_000_000_000_000_000, login),
    }
    assert await both.logins.standings([]) == {}


async def test_addresses_are_remembered_for_the_account_that_used_them(store: SessionStore) -> None:
    user_id = IDS.next()
    for _ in range(2):
        await store.remember_address(user_id, b"here")
    assert await store.knows_address(user_id, b"here")
    assert not await store.knows_address(user_id, b"there")
    assert not await store.knows_address(IDS.next(), b"here")


async def test_a_fenced_account_has_no_password(both: Both) -> None:
    user_id = await both.account()
    await both.accounts.fence(user_id)
    assert await both.logins.password(user_id) is None
    assert await both.logins.standings([user_id]) == {}


async def test_a_login_expires_unless_it_is_rotated_and_is_listed_longer(cql: Cql) -> None:
    """CQL alone: in memory no time passes. Every column starts again with a rotation, none is left behind to expire."""
    store = CqlSessionStore(cql, SESSION_S)
    session = an_apps_session()
    await store.insert_session(session)
    columns = (
        "user_id, generation, rotated_at_ms, earlier_ms, last_seen_ms, client, address, client_id, scopes, password_us"
    )
    ttls = ", ".join(f"TTL({column}), WRITETIME({column})" for column in columns.split(", "))
    read = cql.prepare(f"SELECT {ttls} FROM sessions WHERE session_id = ?")
    (before,) = await cql.execute(read, (session.session_id,))
    await store.rotate_session(session, replace(session, generation=4))
    (after,) = await cql.execute(read, (session.session_id,))
    assert all(0 < ttl <= SESSION_S for ttl in before[::2] + after[::2])
    assert all(new > old for old, new in zip(before[1::2], after[1::2], strict=True))


async def test_a_login_of_before_its_columns_is_ones_own_and_allows_everything(cql: Cql) -> None:
    """CQL alone: what an earlier version of the service has stored."""
    session = a_session()
    old = cql.prepare(
        "INSERT INTO sessions (session_id, user_id, generation, rotated_at_ms) VALUES (?, ?, ?, ?) IF NOT EXISTS"
    )
    await cql.apply_lwt(old, (session.session_id, session.user_id, 0, NOW_MS))
    assert await CqlSessionStore(cql, SESSION_S).get_session(session.session_id) == session
