"""The secrets of a local stack: made once, for the owner only, overruled by the environment."""

import base64
import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ops import secrets
from stack.errors import StackError


def test_they_are_made_once(tmp_path: Path) -> None:
    first = secrets.load_or_make(tmp_path, {})
    assert set(first) == set(secrets.NAMES)
    assert secrets.load_or_make(tmp_path, {}) == first
    assert secrets.load(tmp_path) == first


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    secrets.load_or_make(tmp_path, {})
    assert stat.S_IMODE((tmp_path / secrets.FILE).stat().st_mode) == 0o600


def test_each_has_its_documented_format(tmp_path: Path) -> None:
    made = secrets.load_or_make(tmp_path, {})
    for name in (secrets.MESH_KEY, secrets.EMAIL_KEY, secrets.REFRESH_KEY):
        assert len(bytes.fromhex(made[name])) == 32
    number, _, key = made[secrets.CURSOR_KEYS].partition(":")
    assert (number, len(bytes.fromhex(key))) == ("1", 32)


def test_what_the_signing_key_signs_the_token_keys_verify(tmp_path: Path) -> None:
    made = secrets.load_or_make(tmp_path, {})
    private = load_pem_private_key(base64.b64decode(made[secrets.SIGNING_KEY]), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    (raw,) = json.loads(made[secrets.TOKEN_KEYS]).values()
    Ed25519PublicKey.from_public_bytes(base64.b64decode(raw)).verify(private.sign(b"words"), b"words")


def test_the_environment_wins_and_is_not_written_down(tmp_path: Path) -> None:
    given = secrets.load_or_make(tmp_path, {secrets.MESH_KEY: "ab" * 32})
    assert given[secrets.MESH_KEY] == "ab" * 32
    assert secrets.load(tmp_path)[secrets.MESH_KEY] != "ab" * 32


def test_a_given_signing_key_brings_its_own_token_keys(tmp_path: Path) -> None:
    other = secrets.load_or_make(tmp_path, {})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    given = secrets.load_or_make(elsewhere, {secrets.SIGNING_KEY: other[secrets.SIGNING_KEY]})
    assert given[secrets.TOKEN_KEYS] == other[secrets.TOKEN_KEYS]


def test_token_keys_without_a_signing_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="set both or neither"):
        secrets.load_or_make(tmp_path, {secrets.TOKEN_KEYS: "{}"})


def test_a_signing_key_of_another_form_is_one_line_without_the_key() -> None:
    with pytest.raises(StackError, match="AVIARY_USER_SIGNING_KEY") as caught:
        secrets.token_keys("not base64 of anything")
    assert "anything" not in caught.value.line


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / secrets.FILE).write_text("{", encoding="utf-8")
    with pytest.raises(StackError, match="damaged"):
        secrets.load_or_make(tmp_path, {})
