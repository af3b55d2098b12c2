"""The promises of UserStore in memory, for unit tests and simulation; nothing here survives the process."""

import uuid
from collections.abc import Callable, Collection

from aviary.user.v1.events_pb2 import UserRegistered
from google.protobuf.message import Message

from runtime.errors import InvalidCursor
from svc_user.domain.accounts import User, UserPage
from svc_user.domain.logins import Session
from svc_user.domain.names import Claim

_ID_BYTES = 16


class MemoryUserStore:
    """UserStore in dictionaries. No method awaits between reading and writing, so each is atomic."""

    def __init__(self, announce: Callable[[Message], None]) -> None:
        self._announce = announce
        self._claims: dict[bytes, Claim] = {}
        self._users: dict[uuid.UUID, User] = {}
        self._credentials: dict[uuid.UUID, str] = {}
        self._fenced: set[uuid.UUID] = set()
        self._sessions: dict[uuid.UUID, Session] = {}

    async def claim(self, key: bytes, wanted: Claim) -> Claim:
        """See UserStore."""
        return self._claims.setdefault(key, wanted)

    async def take_over(self, key: bytes, abandoned: Claim, wanted: Claim) -> Claim:
        """See UserStore."""
        if self._claims.get(key, abandoned).user_id == abandoned.user_id:
            self._claims[key] = wanted
        return self._claims[key]

    async def release(self, key: bytes, held: Claim) -> None:
        """See UserStore."""
        if key in self._claims and self._claims[key].user_id == held.user_id:
            del self._claims[key]

    async def holders(self, keys: Collection[bytes]) -> dict[bytes, uuid.UUID]:
        """See UserStore."""
        return {key: self._claims[key].user_id for key in keys if key in self._claims}

    async def fence(self, user_id: uuid.UUID) -> None:
        """See UserStore."""
        self._fenced.add(user_id)
        self._users.pop(user_id, None)
        self._credentials.pop(user_id, None)

    async def insert_account(self, user: User, password_hash: str | None, announce: UserRegistered) -> None:
        """See UserStore."""
        self._announce(announce)
        if user.user_id in self._fenced:
            return
        self._users[user.user_id] = user
        if password_hash is not None:
            self._credentials[user.user_id] = password_hash

    async def get_users(self, user_ids: Collection[uuid.UUID]) -> list[User]:
        """See UserStore."""
        return [self._users[user_id] for user_id in set(user_ids) if user_id in self._users]

    async def password_hash(self, user_id: uuid.UUID) -> str | None:
        """See UserStore."""
        return self._credentials.get(user_id)

    async def list_users(self, after: bytes, limit: int) -> UserPage:
        """See UserStore."""
        if after and len(after) != _ID_BYTES:
            raise InvalidCursor("the position was not given by a page of this list")
        rest = sorted(user_id for user_id in self._users if user_id.bytes > after)
        page = rest[:limit]
        more = len(rest) > limit
        return UserPage([self._users[user_id] for user_id in page], page[-1].bytes if more else b"")

    async def insert_session(self, session: Session) -> None:
        """See UserStore. Time does not pass here: logins end only when they are ended."""
        self._sessions.setdefault(session.session_id, session)

    async def get_session(self, session_id: uuid.UUID) -> Session | None:
        """See UserStore."""
        return self._sessions.get(session_id)

    async def rotate_session(self, before: Session, after: Session) -> bool:
        """See UserStore."""
        stored = self._sessions.get(before.session_id)
        if stored is None or stored.generation != before.generation:
            return False
        self._sessions[before.session_id] = after
        return True

    async def end_session(self, session_id: uuid.UUID) -> None:
        """See UserStore."""
        self._sessions.pop(session_id, None)
