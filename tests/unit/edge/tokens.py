"""Access tokens as svc_user makes them, and as it never would."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from runtime.context import ALL_SCOPES, TOKENS_OF


def claims(**changes: Any) -> dict[str, Any]:
    """What a token of a new login says, valid for a quarter of an hour; None leaves a claim out."""
    now = int(time.time())
    given = {
        "iss": TOKENS_OF,
        "aud": TOKENS_OF,
        "sub": str(uuid.uuid4()),
        "sid": str(uuid.uuid4()),
        "scope": " ".join(ALL_SCOPES),
        "iat": now,
        "exp": now + 900,
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


def encoded(key: Any, said: dict[str, Any], kid: Any = "k1", **header: Any) -> str:
    """A token with a good signature by `key`."""
    named = {"kid": kid} if kid else {}
    return jwt.encode(said, key, algorithm="EdDSA", headers={**named, **header})


def signed(
    key: Any, user_id: bytes, session_id: bytes, scopes: tuple[str, ...] = ALL_SCOPES, expires_in_s: int = 900
) -> str:
    """A token of a login, which expires on the system's clock."""
    said = claims(
        sub=str(uuid.UUID(bytes=user_id)),
        sid=str(uuid.UUID(bytes=session_id)),
        scope=" ".join(scopes),
        exp=int(time.time()) + expires_in_s,
    )
    return encoded(key, said)


def forgeries(key: Ed25519PrivateKey, good: dict[str, Any]) -> dict[str, str]:
    """Tokens that are none of ours, by what is wrong with each; `good` is what a genuine one says, `key` its key, known as k1."""
    public = key.public_key()
    other = Ed25519PrivateKey.generate()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    genuine = encoded(key, good)
    head, _, signature = genuine.split(".")
    without = {f"no {name}": encoded(key, {n: v for n, v in good.items() if n != name}) for name in _NEEDED}
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": _part(other.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))}
    return {
        "alg none": _unsigned("none", good),
        "alg None": _unsigned("None", good),
        "alg none with a signature": f"{_unsigned('none', good)}{signature}",
        "HS256 with the public key as text": _hmac(pem, good),
        "HS256 with the public key as bytes": _hmac(raw, good),
        "HS256 with the public key as in the configuration": _hmac(base64.b64encode(raw), good),
        "another key": encoded(other, good),
        "another key that it brings along": encoded(other, good, jwk=jwk),
        "an unknown kid": encoded(key, good, kid="other"),
        "a kid that is a path": encoded(key, good, kid="../k1"),
        "no kid": encoded(key, good, kid=None),
        "another audience": encoded(key, {**good, "aud": "elsewhere"}),
        "two audiences": encoded(key, {**good, "aud": [TOKENS_OF, "elsewhere"]}),
        "another issuer": encoded(key, {**good, "iss": "elsewhere"}),
        **without,
        "no user": encoded(key, {**good, "sub": "nobody"}),
        "a login that is a number": encoded(key, {**good, "sid": 7}),
        "scopes as a list": encoded(key, {**good, "scope": ["read"]}),
        "an end that is text": encoded(key, {**good, "exp": "later"}),
        "not yet": encoded(key, {**good, "nbf": good["exp"] + 10**9}),
        "other claims under the signature": f"{head}.{_part({**good, 'sub': str(uuid.uuid4())})}.{signature}",
        "half a signature": genuine[:-40],
        "no signature": f"{genuine.rpartition('.')[0]}.",
        "no claims": f"{head}..{signature}",
        "two parts": "a.b",
        "three parts of nothing": "a.b.c",
        "longer than any of ours": encoded(key, {**good, "more": "x" * 5000}),
    }


_NEEDED = ("iss", "aud", "sub", "sid", "scope", "exp")


def _part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _unsigned(algorithm: str, said: dict[str, Any]) -> str:
    return f"{_part({'alg': algorithm, 'typ': 'JWT', 'kid': 'k1'})}.{_part(said)}."


def _hmac(secret: bytes, said: dict[str, Any]) -> str:
    # By hand: no library signs with a public key.
    text = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{_part(said)}"
    return f"{text}.{_part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"
