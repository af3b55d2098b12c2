"""Where accounts, unique names, credentials and logins lie: the promises, and CQL that keeps them; decisions are in domain/."""

import asyncio
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from aviary.user.v1.events_pb2 import UserRegistered

from outbox import CqlOutbox
from runtime.cql import Cql, until_acknowledged
from runtime.errors import InvalidCursor
from svc_user.domain.accounts import User, UserPage
from svc_user.domain.logins import Session
from svc_user.domain.names import Claim

SCHEMA = Path(__file__).parent / "schema"

WRITE_BUDGET_S = 5.0
_USER = "user_id, username, display_name, bio, verified, email"
_TOKEN_BYTES = 8
_BEFORE_ALL = -(2**63)
"""Smaller than the token of every partition."""


class UserStore(Protocol):
    """Storage of svc_user. Every method raises Unavailable when the database does not answer in time."""

    async def claim(self, key: bytes, wanted: Claim) -> Claim:
        """Claim a unique name if nobody has. Returns the claim that holds it now.

        Of parallel callers exactly one gets it, and all learn which. Claiming again what one holds changes nothing.
        """

    async def take_over(self, key: bytes, abandoned: Claim, wanted: Claim) -> Claim:
        """Replace a claim by another, if it is still the one given. Returns the claim that holds the name now."""

    async def release(self, key: bytes, held: Claim) -> None:
        """Give a name back. A claim of somebody else stays."""

    async def holders(self, keys: Collection[bytes]) -> dict[bytes, uuid.UUID]:
        """Who holds each name; names that nobody holds are absent. Sees every claim that was answered before."""

    async def fence(self, user_id: uuid.UUID) -> None:
        """Make sure that no `insert_account` of this id has an effect, whether it comes later or came before."""

    async def insert_account(self, user: User, password_hash: str | None, announce: UserRegistered) -> None:
        """Write account, credentials (if any) and announcement, all or none. Doing it again writes the same."""

    async def get_users(self, user_ids: Collection[uuid.UUID]) -> list[User]:
        """The accounts among the ids, each once, in no order. Unknown ids are absent."""

    async def password_hash(self, user_id: uuid.UUID) -> str | None:
        """The password hash of an account, None when it has none or is no account."""

    async def list_users(self, after: bytes, limit: int) -> UserPage:
        """At most `limit` accounts, from the start for an empty `after`, else where the page that gave it ended.

        Following `next_after` to its empty end gives every account that was there all the time exactly once, whatever the
        page sizes. Raises InvalidCursor for an `after` that no page gave.
        """

    async def insert_session(self, session: Session) -> None:
        """Store a new login. It ends by itself when it is not rotated for the time the store was built with."""

    async def get_session(self, session_id: uuid.UUID) -> Session | None:
        """A login, None when it is unknown or has ended. Sees every rotation and end that was answered before."""

    async def rotate_session(self, before: Session, after: Session) -> bool:
        """Replace the state of a login, if it is still at `before`'s generation. False when it is not, or has ended."""

    async def end_session(self, session_id: uuid.UUID) -> None:
        """End a login for ever. Ending one that has ended, or never was, changes nothing, other logins included."""


class CqlUserStore:
    """UserStore on Cassandra or ScyllaDB.

    Rows that LWT writes are written by nothing else: the clocks of the two kinds of writes do not order each other.
    """

    def __init__(self, cql: Cql, outbox: CqlOutbox, session_s: int) -> None:
        self._cql = cql
        self._outbox = outbox
        self._session_s = session_s
        # Who holds a unique name?
        self._claim = cql.prepare("INSERT INTO claims (key, user_id, imported) VALUES (?, ?, ?) IF NOT EXISTS")
        self._take_over = cql.prepare("UPDATE claims SET user_id = ?, imported = ? WHERE key = ? IF user_id = ?")
        self._release = cql.prepare("DELETE FROM claims WHERE key = ? IF user_id = ?")
        self._holder = cql.prepare("SELECT user_id, imported FROM claims WHERE key = ?")
        # Which account has this id?
        self._insert_user = cql.prepare(f"INSERT INTO users ({_USER}) VALUES (?, ?, ?, ?, ?, ?)")
        self._delete_user = cql.prepare("DELETE FROM users WHERE user_id = ?")
        self._user = cql.prepare(f"SELECT {_USER} FROM users WHERE user_id = ?")
        # Which accounts are there?
        self._users = cql.prepare(f"SELECT token(user_id), {_USER} FROM users WHERE token(user_id) > ? LIMIT ?")
        # What is the password of this account?
        self._insert_credentials = cql.prepare("INSERT INTO credentials (user_id, password_hash) VALUES (?, ?)")
        self._delete_credentials = cql.prepare("DELETE FROM credentials WHERE user_id = ?")
        self._credentials = cql.prepare("SELECT password_hash FROM credentials WHERE user_id = ?")
        # How far is this login?
        self._insert_session = cql.prepare(
            "INSERT INTO sessions (session_id, user_id, generation, rotated_at_ms) VALUES (?, ?, ?, ?)"
            " IF NOT EXISTS USING TTL ?"
        )
        self._rotate_session = cql.prepare(
            "UPDATE sessions USING TTL ? SET user_id = ?, generation = ?, rotated_at_ms = ?"
            " WHERE session_id = ? IF generation = ?"
        )
        self._end_session = cql.prepare("DELETE FROM sessions WHERE session_id = ? IF EXISTS")
        self._session = cql.prepare("SELECT user_id, generation, rotated_at_ms FROM sessions WHERE session_id = ?")

    async def claim(self, key: bytes, wanted: Claim) -> Claim:
        """See UserStore."""
        # Repeating is harmless: the id was chosen before, so a claim that came through unnoticed is recognised.
        while not await self._applied(self._claim, key, wanted.user_id, wanted.imported):
            rows = await self._cql.read_serial(self._holder, (key,))
            if rows:
                return Claim(*rows[0])
        return wanted

    async def take_over(self, key: bytes, abandoned: Claim, wanted: Claim) -> Claim:
        """See UserStore."""
        if await self._applied(self._take_over, wanted.user_id, wanted.imported, key, abandoned.user_id):
            return wanted
        return await self.claim(key, wanted)

    async def release(self, key: bytes, held: Claim) -> None:
        """See UserStore."""
        await self._applied(self._release, key, held.user_id)

    async def holders(self, keys: Collection[bytes]) -> dict[bytes, uuid.UUID]:
        """See UserStore."""
        # Not LOCAL_SERIAL, which costs a round of consensus for each name: an answered claim was committed to a quorum.
        found = await asyncio.gather(*(self._cql.execute(self._holder, (key,)) for key in keys))
        return {key: rows[0][0] for key, rows in zip(keys, found, strict=True) if rows}

    async def fence(self, user_id: uuid.UUID) -> None:
        """See UserStore."""
        deletes = [(self._delete_user, (user_id,)), (self._delete_credentials, (user_id,))]
        stamp = _written_us(user_id) + 1
        await until_acknowledged(lambda: self._cql.logged_batch(deletes, timestamp_us=stamp), WRITE_BUDGET_S)

    async def insert_account(self, user: User, password_hash: str | None, announce: UserRegistered) -> None:
        """See UserStore."""
        row = (user.user_id, user.username, user.display_name, user.bio, user.verified, user.email)
        batch: list[Any] = [(self._insert_user, row), self._outbox.row(announce)]
        if password_hash is not None:
            batch.append((self._insert_credentials, (user.user_id, password_hash)))
        # The time of the id: whoever writes this account, and however often, writes the same cells, and a fence wins over all.
        stamp = _written_us(user.user_id)
        await until_acknowledged(lambda: self._cql.logged_batch(batch, timestamp_us=stamp), WRITE_BUDGET_S)

    async def get_users(self, user_ids: Collection[uuid.UUID]) -> list[User]:
        """See UserStore."""
        found = await asyncio.gather(*(self._cql.execute(self._user, (user_id,)) for user_id in set(user_ids)))
        return [User(*rows[0]) for rows in found if rows]

    async def password_hash(self, user_id: uuid.UUID) -> str | None:
        """See UserStore."""
        rows = await self._cql.execute(self._credentials, (user_id,))
        return rows[0][0] if rows else None

    async def list_users(self, after: bytes, limit: int) -> UserPage:
        """See UserStore. A position is the token of the last partition; that two ids share one of 2^64 is left to chance."""
        if after and len(after) != _TOKEN_BYTES:
            raise InvalidCursor("the position was not given by a page of this list")
        start = int.from_bytes(after, signed=True) if after else _BEFORE_ALL
        rows = await self._cql.execute(self._users, (start, limit + 1))
        page = rows[:limit]
        more = len(rows) > limit
        return UserPage(
            users=[User(*row[1:]) for row in page],
            next_after=page[-1][0].to_bytes(_TOKEN_BYTES, signed=True) if more else b"",
        )

    async def insert_session(self, session: Session) -> None:
        """See UserStore."""
        await self._applied(
            self._insert_session,
            session.session_id,
            session.user_id,
            session.generation,
            session.rotated_at_ms,
            self._session_s,
        )

    async def get_session(self, session_id: uuid.UUID) -> Session | None:
        """See UserStore."""
        rows = await self._cql.read_serial(self._session, (session_id,))
        return Session(session_id, *rows[0]) if rows else None

    async def rotate_session(self, before: Session, after: Session) -> bool:
        """See UserStore."""
        # All columns again, or those left out would expire at the time that the login set.
        return await self._applied(
            self._rotate_session,
            self._session_s,
            after.user_id,
            after.generation,
            after.rotated_at_ms,
            before.session_id,
            before.generation,
        )

    async def end_session(self, session_id: uuid.UUID) -> None:
        """See UserStore."""
        await self._applied(self._end_session, session_id)

    async def _applied(self, statement: Any, *params: object) -> bool:
        """Whether a conditional write took effect. After an unknown outcome it is asked again, so False may mean "by ourselves"."""
        result = await until_acknowledged(lambda: self._cql.apply_lwt(statement, params), WRITE_BUDGET_S)
        return result.applied


def _written_us(user_id: uuid.UUID) -> int:
    return Claim(user_id).claimed_at_ms * 1000
