"""Where logins and passwords lie: the promises, and CQL that keeps them; accounts and names are in store.py, decisions in domain/."""

import asyncio
import uuid
from collections.abc import Collection
from typing import Any, Protocol

from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2

from cql_client import Cql, until_acknowledged
from runtime.context import ALL_SCOPES
from svc_user.domain.logins import Password, Session, Standing

WRITE_BUDGET_S = 5.0
_SESSION = (
    "user_id, generation, rotated_at_ms, earlier_ms, last_seen_ms, client, address, client_id, scopes, password_us"
)
_LISTED = 1000
_LISTED_LONGER_S = 24 * 3600
_ENDED_KNOWN_S = 60
"""Longer than an insert is repeated, or lies in a queue of the database."""
_ADDRESS_KNOWN_S = 30 * 24 * 3600


class SessionStore(Protocol):
    """Storage of logins and passwords. Every method raises Unavailable when the database does not answer in time."""

    async def insert_session(self, session: Session) -> None:
        """Store a new login, unless it was ended meanwhile. It ends by itself when it is not rotated for as long as the store was told."""

    async def get_session(self, session_id: uuid.UUID) -> Session | None:
        """A login, None when it is unknown or has ended. Sees every rotation and end that was answered before."""

    async def get_sessions(self, session_ids: Collection[uuid.UUID]) -> list[Session]:
        """The logins among the ids that have not ended, each once, in no order. Sees every end that was answered before."""

    async def list_sessions(self, user_id: uuid.UUID) -> list[Session]:
        """The logins of an account that have not ended, in no order. Sees every login and every end that was answered before."""

    async def count_listed(self, user_id: uuid.UUID) -> int:
        """How many logins an account has at most: those that began just now or have just ended may be among them."""

    async def rotate_session(self, before: Session, after: Session) -> bool:
        """Replace the state of a login, if it is still at `before`'s generation. False when it is not, or has ended."""

    async def end_session(self, session_id: uuid.UUID) -> None:
        """End a login for ever, also one whose `insert_session` is under way. Ending it again changes nothing, nor anything of others."""

    async def is_listed(self, user_id: uuid.UUID, session_id: uuid.UUID) -> bool:
        """Whether this is a login of the account, or was one until it was taken off its list."""

    async def unlist_session(self, user_id: uuid.UUID, session_id: uuid.UUID) -> None:
        """Take a login that has ended off the list of its account."""

    async def password(self, user_id: uuid.UUID) -> Password | None:
        """The password of an account, None when it has none or is no account."""

    async def set_password(self, user_id: uuid.UUID, password: Password, kept_login: uuid.UUID) -> None:
        """Replace the password of an account and void every login that began under another, `kept_login` excepted: all or none.

        Of several the one with the latest `changed_us` stays.
        """

    async def standings(self, user_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Standing]:
        """What logins of these accounts depend on; ids that are no account are absent. Sees every change that was answered before."""

    async def remember_address(self, user_id: uuid.UUID, address: bytes) -> None:
        """Keep for 30 days from where the owner of an account came."""

    async def knows_address(self, user_id: uuid.UUID, address: bytes) -> bool:
        """Whether the address is remembered for the account."""


class CqlSessionStore:
    """SessionStore on Cassandra or ScyllaDB.

    `sessions` is the truth and written by LWT alone. A login stands in `sessions_by_user` before it begins and after it has ended, never
    the other way round: whoever dies between the two writes leaves an entry without a login, which lists skip and a TTL removes.
    """

    def __init__(self, cql: Cql, session_s: int) -> None:
        self._cql = cql
        self._session_s = session_s
        # How far is this login?
        columns = _SESSION.split(", ")
        assignments = ", ".join(f"{column} = ?" for column in columns)
        # Not INSERT: the row would outlive the cells when those are taken away.
        self._insert = cql.prepare(
            f"UPDATE sessions USING TTL ? SET {assignments} WHERE session_id = ? IF user_id = null AND ended = null"
        )
        self._rotate = cql.prepare(
            f"UPDATE sessions USING TTL ? SET {assignments} WHERE session_id = ? IF generation = ?"
        )
        # A mark instead of nothing: an insert whose outcome was not known comes again, and must not begin what has ended.
        nothing = ", ".join(f"{column} = null" for column in columns)
        self._end = cql.prepare(
            f"UPDATE sessions USING TTL {_ENDED_KNOWN_S} SET {nothing}, ended = true WHERE session_id = ? IF ended = null"
        )
        self._session = cql.prepare(f"SELECT {_SESSION} FROM sessions WHERE session_id = ?")
        # Which logins does this account have?
        self._list = cql.prepare("INSERT INTO sessions_by_user (user_id, session_id) VALUES (?, ?) USING TTL ?")
        self._unlist = cql.prepare("DELETE FROM sessions_by_user WHERE user_id = ? AND session_id = ?")
        self._is_listed = cql.prepare("SELECT session_id FROM sessions_by_user WHERE user_id = ? AND session_id = ?")
        self._listed = cql.prepare(
            f"SELECT session_id FROM sessions_by_user WHERE user_id = ? ORDER BY session_id DESC LIMIT {_LISTED}"
        )
        # What is the password of this account?
        self._password = cql.prepare("SELECT password_hash, changed_us FROM credentials WHERE user_id = ?")
        self._set_password = cql.prepare("UPDATE credentials SET password_hash = ?, changed_us = ? WHERE user_id = ?")
        # What do its logins depend on?
        self._void = cql.prepare("UPDATE users SET password_us = ?, kept_login = ? WHERE user_id = ?")
        self._standing = cql.prepare("SELECT status, role, password_us, kept_login FROM users WHERE user_id = ?")

        # From where did its owner come?
        self._remember = cql.prepare("INSERT INTO known_addresses (user_id, address) VALUES (?, ?) USING TTL ?")
        self._remembered = cql.prepare("SELECT address FROM known_addresses WHERE user_id = ? AND address = ?")

    async def insert_session(self, session: Session) -> None:
        """See SessionStore."""
        await self._enlist(session)
        await self._applied(self._insert, self._session_s, *_columns(session), session.session_id)

    async def get_session(self, session_id: uuid.UUID) -> Session | None:
        """See SessionStore."""
        rows = await self._cql.read_serial(self._session, (session_id,))
        return _session(session_id, rows[0]) if _is_one(rows) else None

    async def get_sessions(self, session_ids: Collection[uuid.UUID]) -> list[Session]:
        """See SessionStore."""
        # Not LOCAL_SERIAL, which costs a round of consensus for each login: an answered end was committed to a quorum.
        asked = list(set(session_ids))
        found = await asyncio.gather(*(self._cql.execute(self._session, (session_id,)) for session_id in asked))
        return [_session(session_id, rows[0]) for session_id, rows in zip(asked, found, strict=True) if _is_one(rows)]

    async def list_sessions(self, user_id: uuid.UUID) -> list[Session]:
        """See SessionStore."""
        rows = await self._cql.execute(self._listed, (user_id,))
        return await self.get_sessions([session_id for (session_id,) in rows])

    async def count_listed(self, user_id: uuid.UUID) -> int:
        """See SessionStore."""
        return len(await self._cql.execute(self._listed, (user_id,)))

    async def rotate_session(self, before: Session, after: Session) -> bool:
        """See SessionStore."""
        await self._enlist(after)
        # All columns again, or those left out would expire at the time that the login set.
        columns = _columns(after)
        return await self._applied(self._rotate, self._session_s, *columns, before.session_id, before.generation)

    async def end_session(self, session_id: uuid.UUID) -> None:
        """See SessionStore."""
        await self._applied(self._end, session_id)

    async def is_listed(self, user_id: uuid.UUID, session_id: uuid.UUID) -> bool:
        """See SessionStore."""
        return bool(await self._cql.execute(self._is_listed, (user_id, session_id)))

    async def unlist_session(self, user_id: uuid.UUID, session_id: uuid.UUID) -> None:
        """See SessionStore."""
        await until_acknowledged(lambda: self._cql.execute(self._unlist, (user_id, session_id)), WRITE_BUDGET_S)

    async def password(self, user_id: uuid.UUID) -> Password | None:
        """See SessionStore."""
        rows = await self._cql.execute(self._password, (user_id,))
        return Password(rows[0][0], rows[0][1] or 0) if rows and rows[0][0] else None

    async def set_password(self, user_id: uuid.UUID, password: Password, kept_login: uuid.UUID) -> None:
        """See SessionStore."""
        batch: list[Any] = [
            (self._set_password, (password.hash, password.changed_us, user_id)),
            (self._void, (password.changed_us, kept_login, user_id)),
        ]
        stamp = password.changed_us
        await until_acknowledged(lambda: self._cql.logged_batch(batch, timestamp_us=stamp), WRITE_BUDGET_S)

    async def standings(self, user_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Standing]:
        """See SessionStore."""
        asked = list(set(user_ids))
        found = await asyncio.gather(*(self._cql.execute(self._standing, (user_id,)) for user_id in asked))
        return {user_id: _standing(user_id, rows[0]) for user_id, rows in zip(asked, found, strict=True) if rows}

    async def remember_address(self, user_id: uuid.UUID, address: bytes) -> None:
        """See SessionStore."""
        row = (user_id, address, _ADDRESS_KNOWN_S)
        await until_acknowledged(lambda: self._cql.execute(self._remember, row), WRITE_BUDGET_S)

    async def knows_address(self, user_id: uuid.UUID, address: bytes) -> bool:
        """See SessionStore."""
        return bool(await self._cql.execute(self._remembered, (user_id, address)))

    async def _enlist(self, session: Session) -> None:
        """List a login for longer than it lives."""
        row = (session.user_id, session.session_id, self._session_s + _LISTED_LONGER_S)
        await until_acknowledged(lambda: self._cql.execute(self._list, row), WRITE_BUDGET_S)

    async def _applied(self, statement: Any, *params: object) -> bool:
        """Whether a conditional write took effect. After an unknown outcome it is asked again, so False may mean "by ourselves"."""
        result = await until_acknowledged(lambda: self._cql.apply_lwt(statement, params), WRITE_BUDGET_S)
        return result.applied


def _columns(session: Session) -> tuple[object, ...]:
    return (
        session.user_id,
        session.generation,
        session.rotated_at_ms,
        list(session.earlier_ms),
        session.last_seen_ms,
        session.client,
        session.address,
        session.client_id,
        " ".join(session.scopes),
        session.password_us,
    )


def _is_one(rows: list[Any]) -> bool:
    """Whether this is the row of a login; of one that has ended there may be a mark."""
    return bool(rows) and rows[0][0] is not None


def _session(session_id: uuid.UUID, row: Any) -> Session:
    """A login from its row; what logins of before these columns lack is what they were: one's own, with everything allowed."""
    user_id, generation, rotated_at_ms, earlier_ms, last_seen_ms, client, address, client_id, scopes, password_us = row
    return Session(
        session_id=session_id,
        user_id=user_id,
        generation=generation,
        rotated_at_ms=rotated_at_ms,
        earlier_ms=tuple(earlier_ms or ()),
        last_seen_ms=rotated_at_ms if last_seen_ms is None else last_seen_ms,
        client=client or "",
        address=address or "",
        client_id=client_id or "",
        scopes=ALL_SCOPES if scopes is None else tuple(scopes.split()),
        password_us=password_us or 0,
    )


def _standing(user_id: uuid.UUID, row: Any) -> Standing:
    status, role, password_us, kept_login = row
    return Standing(
        user_id,
        status or user_pb2.USER_STATUS_ACTIVE,
        role or mesh_pb2.ROLE_UNSPECIFIED,
        password_us or 0,
        kept_login,
    )
