"""Access and refresh tokens and secrets of apps: how they are made, what a refresh token says; the edge alone verifies access tokens."""

import base64
import binascii
import hashlib
import hmac
import uuid
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from runtime.config import Secret
from runtime.context import TOKENS_OF
from runtime.ids import Clock
from svc_user.domain.logins import Session
from svc_user.errors import RefreshTokenInvalid

TOKEN_TYPE = "Bearer"
_SESSION = 16
_GENERATION = 4


@dataclass(frozen=True, slots=True)
class Issued:
    """What a login is answered with."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Presented:
    """What a genuine refresh token says."""

    session_id: uuid.UUID
    generation: int


class TokenIssuer:
    """Makes tokens of sessions, and the secrets of apps."""

    def __init__(self, signing_key: Ed25519PrivateKey, refresh_key: Secret, clock: Clock, access_s: int) -> None:
        self._signing_key = signing_key
        self._key_id = key_id(signing_key)
        self._refresh_key = refresh_key.value
        # Derived, so that what is shown as a secret of an app is never what could stand in a refresh token.
        self._client_key = HKDF(SHA256(), length=32, salt=None, info=b"aviary.user.client-secret").derive(
            refresh_key.value
        )
        self._clock = clock
        self._access_s = access_s

    def issue(self, session: Session, scopes: tuple[str, ...] | None = None) -> Issued:
        """An access token for the next minutes and the refresh token of the session's generation, always the same one.

        `scopes`: what the access token allows, all that the login may when not given.
        """
        return Issued(
            access_token=self._access(session, session.scopes if scopes is None else scopes),
            refresh_token=self.refresh_token(session.session_id, session.generation),
            token_type=TOKEN_TYPE,
            expires_in=self._access_s,
        )

    def open_refresh(self, token: str) -> Presented:
        """What a refresh token says. Raises RefreshTokenInvalid for anything that was not made here."""
        presented = self.read_refresh(token)
        if presented is None:
            raise RefreshTokenInvalid("the refresh token is malformed or forged")
        return presented

    def read_refresh(self, token: str) -> Presented | None:
        """What a refresh token says, None for anything that was not made here."""
        try:
            raw = base64.b64decode(token.encode("ascii") + b"==", altchars=b"-_")
        except (UnicodeEncodeError, binascii.Error):
            raw = b""
        session_id, generation = raw[:_SESSION], raw[_SESSION : _SESSION + _GENERATION]
        presented = Presented(uuid.UUID(bytes=session_id.ljust(_SESSION, b"\0")), int.from_bytes(generation))
        # Comparing whole tokens instead of decoded parts leaves each token one spelling only.
        genuine = self.refresh_token(presented.session_id, presented.generation)
        return presented if hmac.compare_digest(genuine.encode(), token.encode()) else None

    def refresh_token(self, session_id: uuid.UUID, generation: int) -> str:
        """The token of a generation, whoever asks for it."""
        said = session_id.bytes + generation.to_bytes(_GENERATION)
        mac = hmac.digest(self._refresh_key, b"refresh:" + said, hashlib.sha256)
        return base64.urlsafe_b64encode(said + mac).decode().rstrip("=")

    def client_secret(self, client_id: str) -> str:
        """The secret of an app that can keep one: always the same one, so that nobody needs to store it; 43 characters."""
        mac = hmac.digest(self._client_key, client_id.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def _access(self, session: Session, scopes: tuple[str, ...]) -> str:
        now = self._clock.now_ms() // 1000
        claims = {
            "iss": TOKENS_OF,
            "aud": TOKENS_OF,
            "sub": str(session.user_id),
            "sid": str(session.session_id),
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + self._access_s,
        }
        return jwt.encode(claims, self._signing_key, algorithm="EdDSA", headers={"kid": self._key_id})


def key_id(key: Ed25519PrivateKey) -> str:
    """The `kid` of access tokens: the first 16 hex digits of the SHA-256 of the raw public key."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]
