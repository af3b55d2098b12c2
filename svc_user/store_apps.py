"""Where apps, idempotency keys, consents and codes lie: the promises, and CQL that keeps them; decisions are in domain/apps.py."""

import asyncio
import uuid
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Protocol

from cql_client import Cql, until_acknowledged
from idempotency import KEPT_S
from svc_user.domain.apps import App, AppClaim, Code, CodeState, Consent

WRITE_BUDGET_S = 5.0
CODE_KEPT_S = 24 * 3600
"""How long a code is known after it was granted, so that its second use is noticed."""

_APP = "client_id, owner_id, name, redirect_uris, scopes, secret_hash"
_CONSENT = "consent_id, revision, scopes, authorized_at_ms, withdrawn"
_CODE = "client_id, user_id, consent_id, session_id, redirect_uri, scopes, challenge, password_us, granted_at_ms, state"


class AppStore(Protocol):
    """Storage of apps. Every method raises Unavailable when the database does not answer in time."""

    async def claim(self, user_id: uuid.UUID, key: str, wanted: AppClaim) -> AppClaim:
        """Whose the key is: the wanted claim when it was free, else the earlier one. Of parallel calls one wins, all get its claim.

        Keys of different users are different keys. After idempotency.KEPT_S the key is free again.
        """

    async def insert_app(self, app: App) -> None:
        """Store a new app. Doing it again writes the same."""

    async def get_apps(self, client_ids: Collection[str]) -> dict[str, App]:
        """The apps among the ids. Unknown ids are absent."""

    async def get_consent(self, user_id: uuid.UUID, client_id: str) -> Consent | None:
        """What a user lets an app do, None when nothing. Sees every write of consents that was answered before."""

    async def list_consents(self, user_id: uuid.UUID) -> list[Consent]:
        """All of a user's consents, in no order. Sees every write of consents that was answered before."""

    async def put_consent(self, before: Consent | None, after: Consent) -> bool:
        """Replace a consent, if it is still `before` (by consent_id and revision; None: not there). False when it is not.

        After an unknown outcome False may mean "by ourselves": whoever gets it reads again.
        """

    async def delete_consent(self, consent: Consent) -> None:
        """Remove a consent, if it is still this one (by consent_id and revision)."""

    async def insert_code(self, code: Code) -> None:
        """Store a new code; it is known for CODE_KEPT_S."""

    async def get_code(self, code_hash: bytes) -> Code | None:
        """A code and what became of it, None when it is unknown. Sees every use and repetition that was answered before."""

    async def use_code(self, code_hash: bytes, use_id: uuid.UUID) -> bool:
        """Use a code up. Of all callers exactly one, or none, is told True, also when outcomes were unknown meanwhile."""

    async def repeat_code(self, code_hash: bytes) -> None:
        """Mark a used code as repeated, for as long as it is known. One that is marked, or was not used, stays as it is."""


class CqlAppStore:
    """AppStore on Cassandra or ScyllaDB. Keys, consents and codes are written by LWT and by nothing else."""

    def __init__(self, cql: Cql) -> None:
        self._cql = cql
        # What does an idempotency key stand for?
        self._claim = cql.prepare(
            "INSERT INTO idempotency (user_id, key, body_hash, client_id, secret_hash) VALUES (?, ?, ?, ?, ?)"
            " IF NOT EXISTS USING TTL ?"
        )
        self._claimed = cql.prepare(
            "SELECT body_hash, client_id, secret_hash FROM idempotency WHERE user_id = ? AND key = ?"
        )
        # Which app has this id?
        self._insert_app = cql.prepare(f"INSERT INTO apps ({_APP}) VALUES (?, ?, ?, ?, ?, ?)")
        self._app = cql.prepare(f"SELECT {_APP} FROM apps WHERE client_id = ?")
        # What does this user let this app do, and which apps does the user let in?
        self._insert_consent = cql.prepare(
            f"INSERT INTO consents (user_id, client_id, {_CONSENT}) VALUES (?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS"
        )
        self._update_consent = cql.prepare(
            "UPDATE consents SET consent_id = ?, revision = ?, scopes = ?, authorized_at_ms = ?, withdrawn = ?"
            " WHERE user_id = ? AND client_id = ? IF consent_id = ? AND revision = ?"
        )
        self._delete_consent = cql.prepare(
            "DELETE FROM consents WHERE user_id = ? AND client_id = ? IF consent_id = ? AND revision = ?"
        )
        self._consent = cql.prepare(f"SELECT {_CONSENT} FROM consents WHERE user_id = ? AND client_id = ?")
        self._consents = cql.prepare(f"SELECT client_id, {_CONSENT} FROM consents WHERE user_id = ?")
        # What is this code good for?
        self._insert_code = cql.prepare(
            f"INSERT INTO codes (code_hash, {_CODE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?"
        )
        self._code = cql.prepare(f"SELECT {_CODE} FROM codes WHERE code_hash = ?")
        self._use_code = cql.prepare(
            "UPDATE codes USING TTL ? SET state = ?, used_by = ? WHERE code_hash = ? IF state = ?"
        )
        self._used_by = cql.prepare("SELECT used_by FROM codes WHERE code_hash = ?")
        self._repeat_code = cql.prepare("UPDATE codes USING TTL ? SET state = ? WHERE code_hash = ? IF state = ?")

    async def claim(self, user_id: uuid.UUID, key: str, wanted: AppClaim) -> AppClaim:
        """See AppStore. After an unknown outcome the same statement again: the id was chosen before, so it knows its own claim."""
        row = (user_id, key, wanted.body_hash, wanted.client_id, wanted.secret_hash, KEPT_S)
        while not await self._applied(self._claim, *row):
            # None: it expired between the two.
            if rows := await self._cql.read_serial(self._claimed, (user_id, key)):
                return AppClaim(*rows[0])
        return wanted

    async def insert_app(self, app: App) -> None:
        """See AppStore."""
        row = (app.client_id, app.owner_id, app.name, app.redirect_uris, app.scopes, app.secret_hash)
        await until_acknowledged(lambda: self._cql.execute(self._insert_app, row), WRITE_BUDGET_S)

    async def get_apps(self, client_ids: Collection[str]) -> dict[str, App]:
        """See AppStore."""
        found = await asyncio.gather(*(self._cql.execute(self._app, (client_id,)) for client_id in set(client_ids)))
        return {rows[0][0]: _app(*rows[0]) for rows in found if rows}

    async def get_consent(self, user_id: uuid.UUID, client_id: str) -> Consent | None:
        """See AppStore."""
        rows = await self._cql.read_serial(self._consent, (user_id, client_id))
        return _consent(user_id, client_id, *rows[0]) if rows else None

    async def list_consents(self, user_id: uuid.UUID) -> list[Consent]:
        """See AppStore."""
        # A quorum is enough: an answered LWT was committed to one.
        return [_consent(user_id, *row) for row in await self._cql.execute(self._consents, (user_id,))]

    async def put_consent(self, before: Consent | None, after: Consent) -> bool:
        """See AppStore."""
        key = (after.user_id, after.client_id)
        values = (after.consent_id, after.revision, after.scopes, after.authorized_at_ms, after.withdrawn)
        if before is None:
            return await self._applied(self._insert_consent, *key, *values)
        return await self._applied(self._update_consent, *values, *key, before.consent_id, before.revision)

    async def delete_consent(self, consent: Consent) -> None:
        """See AppStore."""
        key = (consent.user_id, consent.client_id)
        await self._applied(self._delete_consent, *key, consent.consent_id, consent.revision)

    async def insert_code(self, code: Code) -> None:
        """See AppStore."""
        await self._applied(
            self._insert_code,
            code.code_hash,
            code.client_id,
            code.user_id,
            code.consent_id,
            code.session_id,
            code.redirect_uri,
            code.scopes,
            code.challenge,
            code.password_us,
            code.granted_at_ms,
            int(code.state),
            CODE_KEPT_S,
        )

    async def get_code(self, code_hash: bytes) -> Code | None:
        """See AppStore."""
        rows = await self._cql.read_serial(self._code, (code_hash,))
        # What was written last outlives the rest by moments: of a code that has expired there may be a state and nothing else.
        return _code(code_hash, *rows[0]) if rows and rows[0][0] is not None else None

    async def use_code(self, code_hash: bytes, use_id: uuid.UUID) -> bool:
        """See AppStore."""
        granted, used = int(CodeState.GRANTED), int(CodeState.USED)
        if await self._applied(self._use_code, CODE_KEPT_S, used, use_id, code_hash, granted):
            return True
        rows = await self._cql.read_serial(self._used_by, (code_hash,))
        return bool(rows) and rows[0][0] == use_id

    async def repeat_code(self, code_hash: bytes) -> None:
        """See AppStore."""
        await self._applied(self._repeat_code, CODE_KEPT_S, int(CodeState.REPEATED), code_hash, int(CodeState.USED))

    async def _applied(self, statement: Any, *params: object) -> bool:
        """Whether a conditional write took effect. After an unknown outcome it is asked again, so False may mean "by ourselves"."""
        result = await until_acknowledged(lambda: self._cql.apply_lwt(statement, params), WRITE_BUDGET_S)
        return result.applied


def _app(  # the columns of a row
    client_id: str, owner_id: uuid.UUID, name: str, redirect_uris: list[str], scopes: list[str], secret_hash: bytes
) -> App:
    return App(client_id, owner_id, name, tuple(redirect_uris), tuple(scopes), secret_hash or b"")


def _consent(user_id: uuid.UUID, client_id: str, *row: Any) -> Consent:
    consent_id, revision, scopes, authorized_at_ms, withdrawn = row
    return Consent(user_id, client_id, consent_id, revision, tuple(scopes), authorized_at_ms, withdrawn)


def _code(code_hash: bytes, *row: Any) -> Code:
    code = Code(code_hash, *row)
    return replace(code, scopes=tuple(code.scopes), state=CodeState(code.state))
