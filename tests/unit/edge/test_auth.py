"""Only tokens that svc_user signed for us, and that have not expired, name a caller."""

import base64
import json
import uuid
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.auth import TokenExpired, TokenInvalid, TokenVerifier, bearer, read_keys

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


def claims(**changes: Any) -> dict[str, Any]:
    given = {
        "iss": "aviary",
        "aud": "aviary",
        "sub": str(USER),
        "sid": str(LOGIN),
        "scope": "read write",
        "iat": NOW_S,
        "exp": NOW_S + 60,
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


def signed(key: Any = KEY, kid: Any = "k1", algorithm: str = "EdDSA", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid} if kid else {})


def test_a_genuine_token_names_user_login_scopes_and_end(tokens: TokenVerifier) -> None:
    grant = tokens.verify(signed())
    assert grant.caller.user_id == USER.bytes
    assert grant.caller.session_id == LOGIN.bytes
    assert grant.caller.scopes == ("read", "write")
    assert grant.caller.service == ""
    assert grant.expires_at_ms == (NOW_S + 60) * 1000


def unsigned() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT', 'kid': 'k1'})}.{part(claims())}."


def changed() -> str:
    head, _, signature = signed().split(".")
    other = signed(sub=str(uuid.uuid4())).split(".")[1]
    return f"{head}.{other}.{signature}"


@pytest.mark.parametrize(
    "token",
    [
        unsigned(),
        changed(),
        signed(key=Ed25519PrivateKey.generate()),
        signed(key=RAW + b"x" * 16, algorithm="HS256"),
        signed(kid="other"),
        signed(kid=None),
        signed(aud="elsewhere"),
        signed(aud=["aviary", "elsewhere"]),
        signed(iss="elsewhere"),
        *(signed(**{name: None}) for name in ("iss", "aud", "sub", "sid", "scope", "exp")),
        signed(sub="nobody"),
        signed(sid=7),
        signed(scope=["read"]),
        signed(nbf=NOW_S * 2),
        signed()[:-4],
        "",
        "a.b",
        "a.b.c",
        "x" * 5000,
    ],
)
def test_any_other_token_is_invalid(tokens: TokenVerifier, token: str) -> None:
    with pytest.raises(TokenInvalid):
        tokens.verify(token)


def test_a_remembered_token_expires_on_time(tokens: TokenVerifier, clock: Clock) -> None:
    token = signed()
    clock.s = NOW_S + 59
    tokens.verify(token)
    clock.s = NOW_S + 60
    for _ in range(2):
        with pytest.raises(TokenExpired):
            tokens.verify(token)


def test_what_is_remembered_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.auth._REMEMBERED", 2)
    tokens = TokenVerifier({"k1": KEY.public_key()}, clock)
    several = [signed(sid=str(uuid.uuid4())) for _ in range(4)]
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
