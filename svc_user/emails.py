"""E-mail addresses at rest: sealed for reading back, hashed with a key for looking up; nobody else sees a plain one."""

import hashlib
import hmac
import os
import uuid

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runtime.config import Secret

_NONCE = 12


class Emails:
    """Seals and hashes addresses with keys derived from one secret."""

    def __init__(self, secret: Secret) -> None:
        self._cipher = AESGCM(_derive(secret, b"seal"))
        self._hash_key = _derive(secret, b"look-up")

    def seal(self, address: str, user_id: uuid.UUID) -> bytes:
        """The address encrypted; bound to the account, so that a row copied to another one does not open."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, address.encode(), user_id.bytes)

    def open(self, sealed: bytes, user_id: uuid.UUID) -> str:
        """The address as its owner wrote it, empty when there is none. Raises InvalidTag when changed or another's."""
        if not sealed:
            return ""
        return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], user_id.bytes).decode()

    def claim_key(self, address: str) -> bytes:
        """Under what an address is claimed: the same for every spelling that differs in case only."""
        return b"email:" + hmac.digest(self._hash_key, address.lower().encode(), hashlib.sha256)


def _derive(secret: Secret, purpose: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"aviary.user.email." + purpose).derive(secret.value)
