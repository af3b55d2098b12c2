"""The secrets of a local stack: made once, kept in secrets.json, read by nobody but the owner.

Formats (also those of the environment variables of the same names, which win over the file):

- AVIARY_MESH_KEY: 64 hex digits; signs the caller that one service names to another.
- AVIARY_CURSOR_KEYS: `ID:HEX[,ID:HEX]`, ID a number, HEX 64 hex digits; the first signs, all are accepted.
- AVIARY_USER_EMAIL_KEY, AVIARY_USER_REFRESH_KEY: 64 hex digits.
- AVIARY_USER_SIGNING_KEY: an Ed25519 private key, PEM PKCS8 without a password, base64 of that PEM on one line.
- AVIARY_TOKEN_KEYS: JSON object of key id to base64 of the raw 32-byte public key. The key id of a generated key is
  the first 16 hex digits of the SHA-256 of the raw public key.

Nothing here says what the keys protect in detail; that is the services' part.
"""

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from stack.errors import StackError

MESH_KEY = "AVIARY_MESH_KEY"
CURSOR_KEYS = "AVIARY_CURSOR_KEYS"
EMAIL_KEY = "AVIARY_USER_EMAIL_KEY"
REFRESH_KEY = "AVIARY_USER_REFRESH_KEY"
SIGNING_KEY = "AVIARY_USER_SIGNING_KEY"
TOKEN_KEYS = "AVIARY_TOKEN_KEYS"
NAMES = (MESH_KEY, CURSOR_KEYS, EMAIL_KEY, REFRESH_KEY, SIGNING_KEY, TOKEN_KEYS)
FILE = "secrets.json"


def load(home: Path) -> dict[str, str]:
    """The secrets kept in a home; empty when none were made there."""
    path = home / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StackError(f"{path} is damaged: restore it, or remove the whole folder to start empty") from error
    return {name: str(values[name]) for name in NAMES if name in values}


def load_or_make(home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """All secrets: the environment's where set, else the kept ones; what is missing is made and kept."""
    if bool(env.get(SIGNING_KEY)) < bool(env.get(TOKEN_KEYS)):
        raise StackError(f"{TOKEN_KEYS} is set without {SIGNING_KEY}: set both or neither")
    kept = load(home)
    given = {name: env[name] for name in NAMES if env.get(name)}
    if SIGNING_KEY in given and TOKEN_KEYS not in given:
        given[TOKEN_KEYS] = token_keys(given[SIGNING_KEY])
    missing = {name: value for name, value in _make().items() if name not in kept}
    if missing:
        kept |= missing
        _write(home / FILE, kept)
    return kept | given


def token_keys(signing_key: str) -> str:
    """AVIARY_TOKEN_KEYS for one AVIARY_USER_SIGNING_KEY."""
    try:
        private = load_pem_private_key(base64.b64decode(signing_key), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StackError(f"{SIGNING_KEY} is not base64 of a PEM private key without a password") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StackError(f"{SIGNING_KEY} is not an Ed25519 key")
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return json.dumps({hashlib.sha256(raw).hexdigest()[:16]: base64.b64encode(raw).decode("ascii")})


def _make() -> dict[str, str]:
    """A full new set."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signing_key = base64.b64encode(pem).decode("ascii")
    return {
        MESH_KEY: secrets.token_hex(32),
        CURSOR_KEYS: f"1:{secrets.token_hex(32)}",
        EMAIL_KEY: secrets.token_hex(32),
        REFRESH_KEY: secrets.token_hex(32),
        SIGNING_KEY: signing_key,
        TOKEN_KEYS: token_keys(signing_key),
    }


def _write(path: Path, values: Mapping[str, str]) -> None:
    """Put the file in place whole, readable by its owner only."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(values, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
