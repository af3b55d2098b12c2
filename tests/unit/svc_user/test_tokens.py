"""Access tokens name their key, so that keys can be changed while both kinds of tokens are about; the edge is who verifies them."""

import base64
import json
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge.auth import TokenInvalid, TokenVerifier, read_keys
from ops.secrets import token_keys
from runtime.config import Secret
from svc_user.domain.logins import Session
from svc_user.tokens import TokenIssuer, key_id
from tests.unit.svc_user.world import SetClock

OLD, NEW = (Ed25519PrivateKey.from_private_bytes(seed * 32) for seed in (b"o", b"n"))
LOGIN = Session(uuid.uuid4(), uuid.uuid4(), 0, 0)


def keys_of(*keys: Ed25519PrivateKey) -> str:
    """AVIARY_TOKEN_KEYS, as operations make it of signing keys."""
    pems = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for key in keys]
    entries = [json.loads(token_keys(base64.b64encode(pem).decode())) for pem in pems]
    return json.dumps({kid: raw for entry in entries for kid, raw in entry.items()})


def issued(key: Ed25519PrivateKey, clock: SetClock) -> str:
    """An access token that svc_user signs with this key."""
    return TokenIssuer(key, Secret(b"r" * 32), clock, 900).issue(LOGIN).access_token


def edge_of(clock: SetClock, *keys: Ed25519PrivateKey) -> TokenVerifier:
    """An edge with these keys."""
    return TokenVerifier(read_keys(keys_of(*keys)), clock)


def test_a_token_names_the_key_that_signs_it() -> None:
    for key in (OLD, NEW):
        header = jwt.get_unverified_header(issued(key, SetClock()))
        assert (header["alg"], header["kid"]) == ("EdDSA", key_id(key))
        assert list(json.loads(keys_of(key))) == [key_id(key)]


def test_keys_change_in_the_order_of_the_handbook_without_refusing_a_token() -> None:
    clock = SetClock()
    before = issued(OLD, clock)
    both = edge_of(clock, OLD, NEW)
    assert both.verify(before).caller.session_id == LOGIN.session_id.bytes
    after = issued(NEW, clock)
    for token in (before, issued(OLD, clock), after):
        assert both.verify(token)
    # The last token of the old key has expired, and its key may go.
    clock.ms += 900_000
    assert edge_of(clock, NEW).verify(issued(NEW, clock))


def test_a_key_that_is_no_longer_there_verifies_nothing() -> None:
    clock = SetClock()
    with pytest.raises(TokenInvalid):
        edge_of(clock, NEW).verify(issued(OLD, clock))


def test_a_token_that_names_the_other_key_is_refused() -> None:
    clock = SetClock()
    claims = jwt.decode(issued(OLD, clock), options={"verify_signature": False})
    forged = jwt.encode(claims, OLD, algorithm="EdDSA", headers={"kid": key_id(NEW)})
    with pytest.raises(TokenInvalid):
        edge_of(clock, OLD, NEW).verify(forged)


def test_an_access_token_may_allow_less_than_its_login() -> None:
    issuer = TokenIssuer(OLD, Secret(b"r" * 32), SetClock(), 900)
    claims = jwt.decode(issuer.issue(LOGIN, ("read",)).access_token, options={"verify_signature": False})
    assert claims["scope"] == "read"
