"""The promises of SessionStore in memory, for unit tests and simulation; nothing here survives the process."""

import uuid
from collections.abc import Collection

from svc_user.domain.logins import Password, Session, Standing
from svc_user.store_memory import MemoryUserStore


class MemorySessionStore:
    """SessionStore in dictionaries, beside the accounts. No method awaits between reading and writing, so each is atomic."""

    def __init__(self, accounts: MemoryUserStore) -> None:
        self._accounts = accounts
        self._sessions: dict[uuid.UUID, Session] = {}
        self._ended: set[uuid.UUID] = set()
        self._listed: dict[uuid.UUID, set[uuid.UUID]] = {}
        self._addresses: set[tuple[uuid.UUID, bytes]] = set()
        self._changed: dict[uuid.UUID, tuple[Password, uuid.UUID]] = {}

    async def insert_session(self, session: Session) -> None:
        """See SessionStore. Time does not pass here: logins end only when they are ended."""
        self._listed.setdefault(session.user_id, set()).add(session.session_id)
        if session.session_id in self._ended:
            return
        self._sessions.setdefault(session.session_id, session)

    async def get_session(self, session_id: uuid.UUID) -> Session | None:
        """See SessionStore."""
        return self._sessions.get(session_id)

    async def get_sessions(self, session_ids: Collection[uuid.UUID]) -> list[Session]:
        """See SessionStore."""
        return [self._sessions[session_id] for session_id in set(session_ids) if session_id in self._sessions]

    async def list_sessions(self, user_id: uuid.UUID) -> list[Session]:
        """See SessionStore."""
        return await self.get_sessions(self._listed.get(user_id, set()))

    async def count_listed(self, user_id: uuid.UUID) -> int:
        """See SessionStore."""
        return len(self._listed.get(user_id, ()))

    async def rotate_session(self, before: Session, after: Session) -> bool:
        """See SessionStore."""
        stored = self._sessions.get(before.session_id)
        if stored is None or stored.generation != before.generation:
            return False
        self._sessions[before.session_id] = after
        return True

    async def end_session(self, session_id: uuid.UUID) -> None:
        """See SessionStore."""
        self._ended.add(session_id)
        self._sessions.pop(session_id, None)

    async def is_listed(self, user_id: uuid.UUID, session_id: uuid.UUID) -> bool:
        """See SessionStore."""
        return session_id in self._listed.get(user_id, ())

    async def unlist_session(self, user_id: uuid.UUID, session_id: uuid.UUID) -> None:
        """See SessionStore."""
        self._listed.get(user_id, set()).discard(session_id)

    async def password(self, user_id: uuid.UUID) -> Password | None:
        """See SessionStore."""
        if user_id in self._changed:
            return self._changed[user_id][0]
        first = self._accounts.credentials.get(user_id)
        return Password(first) if first is not None else None

    async def set_password(self, user_id: uuid.UUID, password: Password, kept_login: uuid.UUID) -> None:
        """See SessionStore."""
        stored = self._changed.get(user_id)
        if stored is None or stored[0].changed_us < password.changed_us:
            self._changed[user_id] = (password, kept_login)

    async def standings(self, user_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Standing]:
        """See SessionStore."""
        return {user.user_id: self._standing(user.user_id) for user in await self._accounts.get_users(user_ids)}

    async def remember_address(self, user_id: uuid.UUID, address: bytes) -> None:
        """See SessionStore."""
        self._addresses.add((user_id, address))

    async def knows_address(self, user_id: uuid.UUID, address: bytes) -> bool:
        """See SessionStore."""
        return (user_id, address) in self._addresses

    def _standing(self, user_id: uuid.UUID) -> Standing:
        user = self._accounts.users[user_id]
        changed = self._changed.get(user_id)
        us, kept_login = (changed[0].changed_us, changed[1]) if changed else (0, None)
        return Standing(user_id, user.status, user.role, us, kept_login)
