"""Access tokens as svc_user makes them, and as it never would."""

import time
import uuid
from typing import Any

import jwt

from runtime.context import ALL_SCOPES, TOKENS_OF


def signed(
    key: Any,
    user_id: bytes,
    session_id: bytes,
    scopes: tuple[str, ...] = ALL_SCOPES,
    expires_in_s: int = 900,
    kid: str = "k1",
) -> str:
    """A token that expires on the system's clock."""
    now = int(time.time())
    claims = {
        "iss": TOKENS_OF,
        "aud": TOKENS_OF,
        "sub": str(uuid.UUID(bytes=user_id)),
        "sid": str(uuid.UUID(bytes=session_id)),
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + expires_in_s,
    }
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid})
