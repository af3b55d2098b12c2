"""Only tokens that svc_user signed for us, and that have not expired, name a caller."""

import base64
import json
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.auth import TokenExpired, TokenInvalid, TokenVerifier, bearer, read_keys
from tests.unit.edge.tokens import claims, encoded, forgeries

KEY = Ed25519PrivateKey.generate()
RAW = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
NOW_S = 1_700_000_000
USER, LOGIN = uuid.uuid4(), uuid.uuid4()


class Clock:
    def __init__(self) -> None:
        self.s = NOW_S

    def now_ms(self) -> int:
        return self.s * 1000

    def now_us(self) -> int:
        return self.s * 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> TokenVerifier:
    return TokenVerifier({"k1": KEY.public_key()}, clock)


def said(**changes: Any) -> dict[str, Any]:
    return claims(sub=str(USER), sid=str(LOGIN), scope="read write", iat=NOW_S, exp=NOW_S + 60, **changes)


def genuine(login: uuid.UUID = LOGIN) -> str:
    return encoded(KEY, {**said(), "sid": str(login)})


FORGERIES = forgeries(KEY, said())


def test_a_genuine_token_names_user_login_scopes_and_end(tokens: TokenVerifier) -> None:
    grant = tokens.verify(genuine())
    assert grant.caller.user_id == USER.bytes
    assert grant.caller.session_id == LOGIN.bytes
    assert grant.caller.scopes == ("read", "write")
    assert grant.caller.service == ""
    assert grant.expires_at_ms == (NOW_S + 60) * 1000


@pytest.mark.parametrize("wrong", FORGERIES)
def test_any_other_token_is_invalid(tokens: TokenVerifier, wrong: str) -> None:
    for _ in range(2):
        with pytest.raises(TokenInvalid):
            tokens.verify(FORGERIES[wrong])


def test_nothing_is_no_token(tokens: TokenVerifier) -> None:
    with pytest.raises(TokenInvalid):
        tokens.verify("")


def test_during_a_change_of_keys_tokens_of_both_are_good(clock: Clock) -> None:
    """The new public key is known to all edges before the first token that it verifies is made, the old one until the last has expired."""
    new = Ed25519PrivateKey.generate()
    tokens = TokenVerifier({"k1": KEY.public_key(), "k2": new.public_key()}, clock)
    for token in (genuine(), encoded(new, said(), kid="k2")):
        assert tokens.verify(token).caller.user_id == USER.bytes
    for token in (encoded(new, said(), kid="k1"), encoded(KEY, said(), kid="k2")):
        with pytest.raises(TokenInvalid):
            tokens.verify(token)


def test_a_remembered_token_expires_on_time(tokens: TokenVerifier, clock: Clock) -> None:
    token = genuine()
    clock.s = NOW_S + 59
    tokens.verify(token)
    clock.s = NOW_S + 60
    for _ in range(2):
        with pytest.raises(TokenExpired):
            tokens.verify(token)


def test_what_is_remembered_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.auth._REMEMBERED", 2)
    tokens = TokenVerifier({"k1": KEY.public_key()}, clock)
    several = [genuine(uuid.uuid4()) for _ in range(4)]
    for token in several:
        tokens.verify(token)
    assert list(tokens._remembered) == several[2:]


@pytest.mark.parametrize("header", [b"Bearer abc", b"bearer abc", b"BEARER  abc "])
def test_the_scheme_is_read_without_regard_to_case(header: bytes) -> None:
    assert bearer(header) == "abc"


@pytest.mark.parametrize("header", [b"", b"abc", b"Bearer", b"Bearer ", b"Basic abc", b"Bearer \xe9"])
def test_another_authorization_is_invalid(header: bytes) -> None:
    with pytest.raises(TokenInvalid):
        bearer(header)


def test_keys_are_read_from_json() -> None:
    keys = read_keys(json.dumps({"k1": base64.b64encode(RAW).decode()}))
    assert keys["k1"].public_bytes(Encoding.Raw, PublicFormat.Raw) == RAW


@pytest.mark.parametrize("text", ["", "{}", "[]", "1", '{"k": "?"}', '{"k": "YQ=="}', '{"k": 1}'])
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not JSON|holds no key"):
        read_keys(text)
