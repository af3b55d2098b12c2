"""The promises of UserStore in memory, for unit tests and simulation; nothing here survives the process."""

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

from aviary.user.v1.events_pb2 import AccountChanged, UserRegistered
from google.protobuf.message import Message

from runtime.errors import InvalidCursor
from svc_user.domain.accounts import STATES, User, UserPage
from svc_user.domain.names import Claim

_ID_BYTES = 16
_FIRST = ("username", "display_name", "bio", "verified", "email", "role")
_LATER = ("version", "status", "limited")
"""What an account has no cell of before it changes."""


class MemoryUserStore:
    """UserStore in dictionaries. No method awaits between reading and writing, so each is atomic."""

    def __init__(self, announce: Callable[[Message], None]) -> None:
        self._announce = announce
        self._claims: dict[bytes, Claim] = {}
        self._renames: dict[uuid.UUID, dict[bytes, int]] = {}
        self.users: dict[uuid.UUID, User] = {}
        self.credentials: dict[uuid.UUID, str] = {}
        self._fenced: set[uuid.UUID] = set()
        self._written: dict[tuple[uuid.UUID, str], int] = {}
        """When each field was written, as CQL keeps it of each cell."""

    async def claim(self, key: bytes, wanted: Claim) -> Claim:
        """See UserStore."""
        return self._claims.setdefault(key, wanted)

    async def take_over(self, key: bytes, held: Claim, wanted: Claim) -> Claim:
        """See UserStore."""
        if key not in self._claims or self._is(key, held):
            self._claims[key] = wanted
        return self._claims[key]

    async def release(self, key: bytes, held: Claim) -> None:
        """See UserStore."""
        if self._is(key, held):
            del self._claims[key]

    async def expire(self, key: bytes, held: Claim, after_s: int) -> None:
        """See UserStore. Time does not pass here: it holds as before."""

    async def claims(self, keys: Collection[bytes]) -> dict[bytes, Claim]:
        """See UserStore."""
        return {key: self._claims[key] for key in keys if key in self._claims}

    async def renames(self, user_id: uuid.UUID) -> dict[bytes, int]:
        """See UserStore."""
        return self._renames.get(user_id, {})

    async def put_renames(self, user_id: uuid.UUID, before: Mapping[bytes, int], after: Mapping[bytes, int]) -> bool:
        """See UserStore. Time does not pass here: they stay."""
        if self._renames.get(user_id, {}) != before:
            return False
        self._renames[user_id] = dict(after)
        return True

    async def fence(self, user_id: uuid.UUID) -> None:
        """See UserStore."""
        self._fenced.add(user_id)
        self.users.pop(user_id, None)
        self.credentials.pop(user_id, None)

    async def fence_names(self, user: User, version: int) -> None:
        """See UserStore."""
        self._write(user, {"username": user.username, "email": user.email}, version + 1)

    async def insert_account(self, user: User, password_hash: str | None, announce: UserRegistered) -> None:
        """See UserStore."""
        self._announce(announce)
        if user.user_id in self._fenced:
            return
        first = {name: value for name, value in asdict(user).items() if name in _FIRST}
        self._write(user, first, Claim(user.user_id).written_us)
        if password_hash is not None:
            self.credentials[user.user_id] = password_hash

    async def update_account(self, before: User, after: User, announce: AccountChanged) -> None:
        """See UserStore."""
        self._announce(announce)
        old, new = asdict(before), asdict(after)
        changed = {name: new[name] for name in (*_FIRST, *_LATER) if new[name] != old[name]}
        self._write(after, changed, after.version)

    async def get_users(self, user_ids: Collection[uuid.UUID]) -> list[User]:
        """See UserStore."""
        return [self.users[user_id] for user_id in set(user_ids) if user_id in self.users]

    async def list_users(self, after: bytes, limit: int) -> UserPage:
        """See UserStore."""
        if after and len(after) != _ID_BYTES:
            raise InvalidCursor("the position was not given by a page of this list")
        rest = sorted(user_id for user_id in self.users if user_id.bytes > after)
        page = rest[:limit]
        more = len(rest) > limit
        return UserPage([self.users[user_id] for user_id in page], page[-1].bytes if more else b"")

    def _is(self, key: bytes, held: Claim) -> bool:
        now = self._claims.get(key)
        return now is not None and (now.user_id, now.version) == (held.user_id, held.version)

    def _write(self, user: User, values: Mapping[str, Any], stamp: int) -> None:
        stored = self.users.get(user.user_id, user)
        newer = {name: value for name, value in values.items() if self._written.get((user.user_id, name), -1) <= stamp}
        self._written.update({(user.user_id, name): stamp for name in newer})
        written: dict[str, Any] = {f"{name}_us": stamp for name in STATES if name in newer}
        self.users[user.user_id] = replace(stored, **newer, **written)
