"""Who sends a request: access tokens verified once and remembered until they expire; tokens are made by svc_user."""

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from aviary.mesh.v1 import reason_pb2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime.context import TOKENS_OF, Caller
from runtime.errors import Unauthenticated, common
from runtime.ids import Clock

_ALGORITHM = "EdDSA"
_LONGEST = 4096
_REMEMBERED = 20_000
_CLAIMS = ("iss", "aud", "sub", "sid", "scope", "exp")


class TokenInvalid(Unauthenticated):
    """The token is malformed, forged, of another audience, or signed with an unknown key."""

    reason = common(reason_pb2.REASON_TOKEN_INVALID)


class TokenExpired(Unauthenticated):
    """The token was valid once."""

    reason = common(reason_pb2.REASON_TOKEN_EXPIRED)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a genuine token says."""

    caller: Caller
    expires_at_ms: int


class TokenVerifier:
    """Verifies access tokens against the public keys of svc_user. A verification costs 190 us, a remembered token 0.3."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey], clock: Clock) -> None:
        self._keys = dict(keys)
        self._clock = clock
        self._remembered: dict[str, Grant] = {}

    def verify(self, token: str) -> Grant:
        """Whose token it is and until when. Raises TokenInvalid or TokenExpired."""
        grant = self._remembered.get(token)
        if grant is None:
            grant = self._open(token)
            if len(self._remembered) >= _REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[token] = grant
        if grant.expires_at_ms <= self._clock.now_ms():
            self._remembered.pop(token, None)
            raise TokenExpired("the access token has expired")
        return grant

    def _open(self, token: str) -> Grant:
        if len(token) > _LONGEST:
            raise TokenInvalid("the access token is longer than any of ours")
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=TOKENS_OF,
                issuer=TOKENS_OF,
                # Expiry is judged by our own clock, on every use.
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "strict_aud": True},
            )
            return _grant(claims)
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, AttributeError):
            # Which check failed helps only who forges tokens.
            raise TokenInvalid("the access token is not one of ours") from None


def _grant(claims: Mapping[str, Any]) -> Grant:
    caller = Caller(
        user_id=uuid.UUID(claims["sub"]).bytes,
        session_id=uuid.UUID(claims["sid"]).bytes,
        scopes=tuple(claims["scope"].split()),
    )
    return Grant(caller, int(claims["exp"]) * 1000)


def bearer(authorization: bytes) -> str:
    """The token of an Authorization header. Raises TokenInvalid for another scheme or a malformed value."""
    scheme, _, token = authorization.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or not token.isascii():
        raise TokenInvalid("the Authorization header must be: Bearer <access token>")
    return token.decode("ascii")


def read_keys(text: str) -> dict[str, Ed25519PublicKey]:
    """Public keys from JSON {kid: base64 of 32 raw bytes}. Raises ValueError for anything else."""
    try:
        given = json.loads(text)
        keys = {
            str(kid): Ed25519PublicKey.from_public_bytes(base64.b64decode(raw, validate=True))
            for kid, raw in given.items()
        }
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise ValueError("is not JSON {kid: base64 of a raw Ed25519 public key}") from None
    if not keys:
        raise ValueError("holds no key")
    return keys
