"""Where accounts and unique names lie: the promises, and CQL that keeps them; logins are in store_sessions.py, decisions in domain/."""

import asyncio
import uuid
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2
from aviary.user.v1.events_pb2 import AccountChanged, UserRegistered

from cql_client import Cql, until_acknowledged
from outbox import CqlOutbox
from runtime.errors import InvalidCursor
from svc_user.domain.accounts import STATES, User, UserPage
from svc_user.domain.names import HELD_S, Claim

SCHEMA = Path(__file__).parent / "schema"

WRITE_BUDGET_S = 5.0
_USER = "user_id, username, display_name, bio, verified, email, version, status, limited, role"
_FIRST = "user_id, username, display_name, bio, verified, email, role"
_CHANGEABLE = _USER.split(", ")[1:]
_READ = ", ".join([_USER, *(f"WRITETIME({name})" for name in STATES)])
_TOKEN_BYTES = 8
_BEFORE_ALL = -(2**63)
"""Smaller than the token of every partition."""


class UserStore(Protocol):
    """Storage of svc_user. Every method raises Unavailable when the database does not answer in time."""

    async def claim(self, key: bytes, wanted: Claim) -> Claim:
        """Claim a unique name if nobody has. Returns the claim that holds it now.

        Of parallel callers exactly one gets it, and all learn which. Claiming again what one holds changes nothing.
        """

    async def take_over(self, key: bytes, held: Claim, wanted: Claim) -> Claim:
        """Replace a claim by another, if it is still the one given (by account and version). Returns the claim that holds now."""

    async def release(self, key: bytes, held: Claim) -> None:
        """Give a name back, if the claim is still the one given."""

    async def expire(self, key: bytes, held: Claim, after_s: int) -> None:
        """Let a claim end by itself, if it is still the one given. Until then it holds as before."""

    async def claims(self, keys: Collection[bytes]) -> dict[bytes, Claim]:
        """Who holds each name; names that nobody holds are absent. Sees every claim that was answered before."""

    async def renames(self, user_id: uuid.UUID) -> dict[bytes, int]:
        """Which other usernames an account took lately, by key, each with when in ms. Sees every `put_renames` that was answered before."""

    async def put_renames(self, user_id: uuid.UUID, before: Mapping[bytes, int], after: Mapping[bytes, int]) -> bool:
        """Replace them, for 30 days, if they are still as given. False when they are not, or when it was by ourselves."""

    async def fence(self, user_id: uuid.UUID) -> None:
        """Make sure that no `insert_account` of this id has an effect, whether it comes later or came before."""

    async def fence_names(self, user: User, version: int) -> None:
        """Make sure that no `update_account` of this version or an earlier one changes the names of the account, now or later.

        `user` is the account as it was read; names that were changed with a later version stay.
        """

    async def insert_account(self, user: User, password_hash: str | None, announce: UserRegistered) -> None:
        """Write account, credentials (if any) and announcement, all or none. Doing it again writes the same."""

    async def update_account(self, before: User, after: User, announce: AccountChanged) -> None:
        """Write what differs between the two, and the announcement, all or none, at the time `after.version`.

        Of several writers of one field the one with the greatest version stays, in whatever order they come; so all end in one state.
        """

    async def get_users(self, user_ids: Collection[uuid.UUID]) -> list[User]:
        """The accounts among the ids, each once, in no order, with when their states were written. Unknown ids are absent."""

    async def list_users(self, after: bytes, limit: int) -> UserPage:
        """At most `limit` accounts, from the start for an empty `after`, else where the page that gave it ended.

        Following `next_after` to its empty end gives every account that was there all the time exactly once, whatever the
        page sizes. Raises InvalidCursor for an `after` that no page gave.
        """


class CqlUserStore:
    """UserStore on Cassandra or ScyllaDB.

    Rows that LWT writes are written by nothing else: the clocks of the two kinds of writes do not order each other.
    """

    def __init__(self, cql: Cql, outbox: CqlOutbox) -> None:
        self._cql = cql
        self._outbox = outbox
        # Who holds a unique name?
        # Not INSERT: the row would outlive the cells when those expire.
        claim = "SET user_id = ?, imported = ?, until_ms = ?, version = ? WHERE key = ?"
        self._claim = cql.prepare(f"UPDATE claims {claim} IF user_id = null")
        self._take_over = cql.prepare(f"UPDATE claims {claim} IF user_id = ? AND version = ?")
        self._expire = cql.prepare(f"UPDATE claims USING TTL ? {claim} IF user_id = ? AND version = ?")
        self._release = cql.prepare("DELETE FROM claims WHERE key = ? IF user_id = ? AND version = ?")
        self._holder = cql.prepare("SELECT user_id, imported, until_ms, version FROM claims WHERE key = ?")
        # Which other usernames did this account take?
        put_renames = "UPDATE renames USING TTL ? SET taken = ? WHERE user_id = ? IF taken"
        self._first_renames = cql.prepare(f"{put_renames} = null")
        self._put_renames = cql.prepare(f"{put_renames} = ?")
        self._renames = cql.prepare("SELECT taken FROM renames WHERE user_id = ?")
        # Which account has this id?
        self._insert_user = cql.prepare(f"INSERT INTO users ({_FIRST}) VALUES (?, ?, ?, ?, ?, ?, ?)")
        self._set = {name: cql.prepare(f"UPDATE users SET {name} = ? WHERE user_id = ?") for name in _CHANGEABLE}
        self._delete_user = cql.prepare("DELETE FROM users WHERE user_id = ?")
        self._user = cql.prepare(f"SELECT {_READ} FROM users WHERE user_id = ?")
        # Which accounts are there?
        self._users = cql.prepare(f"SELECT token(user_id), {_READ} FROM users WHERE token(user_id) > ? LIMIT ?")
        # What is the password of this account?
        self._insert_credentials = cql.prepare("INSERT INTO credentials (user_id, password_hash) VALUES (?, ?)")
        self._delete_credentials = cql.prepare("DELETE FROM credentials WHERE user_id = ?")

    async def claim(self, key: bytes, wanted: Claim) -> Claim:
        """See UserStore."""
        # Repeating is harmless: id and version were chosen before, so a claim that came through unnoticed is recognised.
        while not await self._applied(self._claim, *_cells(wanted), key):
            rows = await self._cql.read_serial(self._holder, (key,))
            if rows and rows[0][0]:
                return Claim(*rows[0])
        return wanted

    async def take_over(self, key: bytes, held: Claim, wanted: Claim) -> Claim:
        """See UserStore."""
        if await self._applied(self._take_over, *_cells(wanted), key, held.user_id, held.version):
            return wanted
        return await self.claim(key, wanted)

    async def release(self, key: bytes, held: Claim) -> None:
        """See UserStore."""
        await self._applied(self._release, key, held.user_id, held.version)

    async def expire(self, key: bytes, held: Claim, after_s: int) -> None:
        """See UserStore."""
        await self._applied(self._expire, after_s, *_cells(held), key, held.user_id, held.version)

    async def claims(self, keys: Collection[bytes]) -> dict[bytes, Claim]:
        """See UserStore."""
        # Not LOCAL_SERIAL, which costs a round of consensus for each name: an answered claim was committed to a quorum.
        found = await asyncio.gather(*(self._cql.execute(self._holder, (key,)) for key in keys))
        return {key: Claim(*rows[0]) for key, rows in zip(keys, found, strict=True) if rows and rows[0][0]}

    async def renames(self, user_id: uuid.UUID) -> dict[bytes, int]:
        """See UserStore."""
        rows = await self._cql.read_serial(self._renames, (user_id,))
        return dict(rows[0][0] or {}) if rows else {}

    async def put_renames(self, user_id: uuid.UUID, before: Mapping[bytes, int], after: Mapping[bytes, int]) -> bool:
        """See UserStore."""
        # None at all is null, never an empty map: that is how they expire, too.
        row = (HELD_S, after or None, user_id)
        if before:
            return await self._applied(self._put_renames, *row, before)
        return await self._applied(self._first_renames, *row)

    async def fence(self, user_id: uuid.UUID) -> None:
        """See UserStore."""
        deletes = [(self._delete_user, (user_id,)), (self._delete_credentials, (user_id,))]
        await self._batch(deletes, Claim(user_id).written_us + 1)

    async def fence_names(self, user: User, version: int) -> None:
        """See UserStore."""
        names = [
            (self._set["username"], (user.username, user.user_id)),
            (self._set["email"], (user.email, user.user_id)),
        ]
        await self._batch(names, version + 1)

    async def insert_account(self, user: User, password_hash: str | None, announce: UserRegistered) -> None:
        """See UserStore."""
        row = (user.user_id, user.username, user.display_name, user.bio, user.verified, user.email, user.role)
        batch: list[Any] = [(self._insert_user, row), self._outbox.row(announce)]
        if password_hash is not None:
            batch.append((self._insert_credentials, (user.user_id, password_hash)))
        # The time of the id: whoever writes this account, and however often, writes the same cells, and a fence wins over all.
        await self._batch(batch, Claim(user.user_id).written_us)

    async def update_account(self, before: User, after: User, announce: AccountChanged) -> None:
        """See UserStore."""
        old, new = asdict(before), asdict(after)
        changed = [(self._set[name], (new[name], after.user_id)) for name in _CHANGEABLE if new[name] != old[name]]
        await self._batch([*changed, self._outbox.row(announce)], after.version)

    async def get_users(self, user_ids: Collection[uuid.UUID]) -> list[User]:
        """See UserStore."""
        found = await asyncio.gather(*(self._cql.execute(self._user, (user_id,)) for user_id in set(user_ids)))
        return [_user(rows[0]) for rows in found if rows]

    async def list_users(self, after: bytes, limit: int) -> UserPage:
        """See UserStore. A position is the token of the last partition; that two ids share one of 2^64 is left to chance."""
        if after and len(after) != _TOKEN_BYTES:
            raise InvalidCursor("the position was not given by a page of this list")
        start = int.from_bytes(after, signed=True) if after else _BEFORE_ALL
        rows = await self._cql.execute(self._users, (start, limit + 1))
        page = rows[:limit]
        more = len(rows) > limit
        return UserPage(
            users=[_user(row[1:]) for row in page],
            next_after=page[-1][0].to_bytes(_TOKEN_BYTES, signed=True) if more else b"",
        )

    async def _applied(self, statement: Any, *params: object) -> bool:
        """Whether a conditional write took effect. After an unknown outcome it is asked again, so False may mean "by ourselves"."""
        result = await until_acknowledged(lambda: self._cql.apply_lwt(statement, params), WRITE_BUDGET_S)
        return result.applied

    async def _batch(self, batch: list[Any], timestamp_us: int) -> None:
        await until_acknowledged(lambda: self._cql.logged_batch(batch, timestamp_us=timestamp_us), WRITE_BUDGET_S)


def _cells(claim: Claim) -> tuple[object, ...]:
    return claim.user_id, claim.imported, claim.until_ms, claim.version


def _user(row: Any) -> User:
    """An account of its row: what was never changed is null there."""
    user_id, username, display_name, bio, verified, email, version, status, limited, role, *written = row
    status, role = status or user_pb2.USER_STATUS_ACTIVE, role or mesh_pb2.ROLE_UNSPECIFIED
    stamps = [at_us or 0 for at_us in written]
    return User(
        user_id, username, display_name, bio, verified, email, version or 0, status, bool(limited), role, *stamps
    )
