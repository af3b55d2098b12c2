"""The promises of AppStore in memory, for unit tests and simulation; nothing here survives the process."""

import uuid
from collections.abc import Collection
from dataclasses import replace

from idempotency import KEPT_S
from runtime.ids import Clock
from svc_user.domain.apps import App, AppClaim, Code, CodeState, Consent


class MemoryAppStore:
    """AppStore in dictionaries. No method awaits between reading and writing, so each is atomic; codes are kept for ever."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._claims: dict[tuple[uuid.UUID, str], tuple[AppClaim, int]] = {}
        self._apps: dict[str, App] = {}
        self._consents: dict[tuple[uuid.UUID, str], Consent] = {}
        self._codes: dict[bytes, Code] = {}
        self._used_by: dict[bytes, uuid.UUID] = {}

    async def claim(self, user_id: uuid.UUID, key: str, wanted: AppClaim) -> AppClaim:
        """See AppStore."""
        now_ms = self._clock.now_ms()
        claim, until_ms = self._claims.get((user_id, key), (wanted, 0))
        if now_ms < until_ms:
            return claim
        self._claims[user_id, key] = (wanted, now_ms + KEPT_S * 1000)
        return wanted

    async def insert_app(self, app: App) -> None:
        """See AppStore."""
        self._apps[app.client_id] = app

    async def get_apps(self, client_ids: Collection[str]) -> dict[str, App]:
        """See AppStore."""
        return {client_id: self._apps[client_id] for client_id in client_ids if client_id in self._apps}

    async def get_consent(self, user_id: uuid.UUID, client_id: str) -> Consent | None:
        """See AppStore."""
        return self._consents.get((user_id, client_id))

    async def list_consents(self, user_id: uuid.UUID) -> list[Consent]:
        """See AppStore."""
        return [consent for consent in self._consents.values() if consent.user_id == user_id]

    async def put_consent(self, before: Consent | None, after: Consent) -> bool:
        """See AppStore."""
        if not self._is_at(before, after):
            return False
        self._consents[after.user_id, after.client_id] = after
        return True

    async def delete_consent(self, consent: Consent) -> None:
        """See AppStore."""
        if self._is_at(consent, consent):
            del self._consents[consent.user_id, consent.client_id]

    async def insert_code(self, code: Code) -> None:
        """See AppStore."""
        self._codes.setdefault(code.code_hash, code)

    async def get_code(self, code_hash: bytes) -> Code | None:
        """See AppStore."""
        return self._codes.get(code_hash)

    async def use_code(self, code_hash: bytes, use_id: uuid.UUID) -> bool:
        """See AppStore."""
        code = self._codes.get(code_hash)
        if code is not None and code.state == CodeState.GRANTED:
            self._codes[code_hash] = replace(code, state=CodeState.USED)
            self._used_by[code_hash] = use_id
        return self._used_by.get(code_hash) == use_id

    async def repeat_code(self, code_hash: bytes) -> None:
        """See AppStore."""
        code = self._codes.get(code_hash)
        if code is not None and code.state == CodeState.USED:
            self._codes[code_hash] = replace(code, state=CodeState.REPEATED)

    def _is_at(self, before: Consent | None, of: Consent) -> bool:
        stored = self._consents.get((of.user_id, of.client_id))
        return _version(stored) == _version(before)


def _version(consent: Consent | None) -> tuple[uuid.UUID, int] | None:
    return (consent.consent_id, consent.revision) if consent else None
