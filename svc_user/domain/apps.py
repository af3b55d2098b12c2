"""Third-party apps, what their users let them do, and codes; which redirect addresses are allowed is in redirects.py. No I/O."""

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import IntEnum

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from aviary.user.v1 import apps_pb2

from runtime.ids import ms_of

CODE_VALID_MS = 60_000
"""How long a code may be exchanged."""

_SECRET_BYTES = 32
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True, slots=True)
class App:
    """A registered app. `secret_hash` is empty when it cannot keep a secret."""

    client_id: str
    owner_id: uuid.UUID
    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    secret_hash: bytes = b""

    @property
    def created_at_ms(self) -> int:
        """When it was registered."""
        return ms_of(uuid.UUID(self.client_id).bytes)


@dataclass(frozen=True, slots=True)
class AppClaim:
    """What an idempotency key stands for: the request's digest, the id of its app and what is stored of its secret.

    All that a retry could find otherwise than the first call lies here, so that both write identical rows.
    """

    body_hash: bytes
    client_id: str
    secret_hash: bytes


@dataclass(frozen=True, slots=True)
class Consent:
    """That a user lets an app in: `consent_id` since when without a break, `scopes` all that was granted since then.

    `withdrawn`: it is being taken back; its logins may not have ended all yet. `revision` rises with every write.
    """

    user_id: uuid.UUID
    client_id: str
    consent_id: uuid.UUID
    revision: int
    scopes: tuple[str, ...]
    authorized_at_ms: int
    withdrawn: bool = False


class CodeState(IntEnum):
    """What became of a code."""

    GRANTED = 0
    USED = 1
    REPEATED = 2
    """It came a second time: the login that it makes must not live."""


@dataclass(frozen=True, slots=True)
class Code:
    """A code, and all that it is bound to. The login that it makes is chosen with it, so that it can be ended whoever made it."""

    code_hash: bytes
    client_id: str
    user_id: uuid.UUID
    consent_id: uuid.UUID
    session_id: uuid.UUID
    redirect_uri: str
    scopes: tuple[str, ...]
    challenge: str
    password_us: int
    """Which password the user had: one that was changed since ends what follows from the code."""
    granted_at_ms: int
    state: CodeState = CodeState.GRANTED


def new_secret() -> str:
    """A code: 256 random bits, which nobody guesses however fast the hash of it is."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def hashed(secret: str) -> bytes:
    """What is stored of a client secret or a code."""
    return hashlib.sha256(secret.encode()).digest()


def is_authentic(app: App, secret: str) -> bool:
    """Whether this secret, empty for none, is what the app has to show."""
    if not app.secret_hash:
        return not secret
    return hmac.compare_digest(hashed(secret), app.secret_hash)


def fits(code: Code, app: App, redirect_uri: str, verifier: str) -> bool:
    """Whether who brings the code is who asked for it: the same app, address and PKCE verifier."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    challenge = create_s256_code_challenge(verifier)  # type: ignore[no-untyped-call]
    return (code.client_id, code.redirect_uri) == (app.client_id, redirect_uri) and hmac.compare_digest(
        challenge.encode(), code.challenge.encode()
    )


def is_expired(code: Code, now_ms: int) -> bool:
    """Whether a code is too old to be exchanged."""
    return now_ms - code.granted_at_ms >= CODE_VALID_MS


def consented(before: Consent | None, fresh: Consent) -> Consent:
    """The consent after it was given once more: since when stays, scopes add up, for older logins keep theirs."""
    if before is None:
        return fresh
    added = tuple(scope for scope in fresh.scopes if scope not in before.scopes)
    return replace(
        before,
        revision=before.revision + 1,
        scopes=(*before.scopes, *added),
        authorized_at_ms=max(before.authorized_at_ms, fresh.authorized_at_ms),
    )


def stands(consent: Consent | None, consent_id: uuid.UUID) -> bool:
    """Whether a consent is still the one that was given then, without a break."""
    return consent is not None and consent.consent_id == consent_id and not consent.withdrawn


def latest_first(consents: Collection[Consent]) -> list[Consent]:
    """The order of the list of authorised apps."""
    return sorted(consents, key=position, reverse=True)


def position(consent: Consent) -> bytes:
    """Where a consent stands in that order."""
    return consent.authorized_at_ms.to_bytes(8) + consent.client_id.encode()


def new_app(claim: AppClaim, owner_id: uuid.UUID, request: apps_pb2.RegisterAppRequest) -> App:
    """The app of a claim. The same claim and request make the same row."""
    return App(
        client_id=claim.client_id,
        owner_id=owner_id,
        name=request.name,
        redirect_uris=tuple(request.redirect_uris),
        scopes=tuple(request.scopes),
        secret_hash=claim.secret_hash,
    )


def registered_view(app: App, secret: str | None) -> apps_pb2.RegisterAppResponse:
    """The answer to the owner of a new app."""
    view = apps_pb2.RegisterAppResponse(
        client_id=app.client_id,
        client_secret=secret,
        name=app.name,
        redirect_uris=app.redirect_uris,
        scopes=app.scopes,
    )
    view.created_at.FromMilliseconds(app.created_at_ms)
    return view


def app_view(app: App) -> apps_pb2.App:
    """The app as anybody may see it."""
    view = apps_pb2.App(
        client_id=app.client_id,
        name=app.name,
        redirect_uris=app.redirect_uris,
        scopes=app.scopes,
        confidential=bool(app.secret_hash),
    )
    view.created_at.FromMilliseconds(app.created_at_ms)
    return view


def consent_view(consent: Consent, name: str) -> apps_pb2.AuthorizedApp:
    """An app as the user who let it in sees it."""
    view = apps_pb2.AuthorizedApp(client_id=consent.client_id, name=name, scopes=consent.scopes)
    view.authorized_at.FromMilliseconds(consent.authorized_at_ms)
    return view
