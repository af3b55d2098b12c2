"""/oauth/token and /oauth/revoke in the words of RFC 6749 and 7009, and what an app may know before."""

import base64
import logging
from collections.abc import AsyncIterator

import httpx
import jwt
import pytest
import pytest_asyncio
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.oauth import documents
from runtime.telemetry import configure_logging
from svc_user.tokens import key_id
from tests.unit.edge.oauth_world import ISSUER, OAuthWorld, oauth_world
from tests.unit.svc_user.app_world import REDIRECT, VERIFIER
from tests.unit.svc_user.world import SIGNING_KEY


@pytest_asyncio.fixture
async def world() -> AsyncIterator[OAuthWorld]:
    async with oauth_world() as world:
        yield world


def refused(answer: httpx.Response, error: str, status: int = 400) -> bool:
    assert answer.headers["content-type"] == "application/json", answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "access_token" not in answer.text
    return (answer.status_code, answer.json()["error"]) == (status, error)


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


async def test_tokens_are_answered_as_the_protocol_says_and_kept_nowhere(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    answer = await world.exchange(app, (await world.granted(app))["code"])
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert (answer.json()["scope"], answer.json()["token_type"]) == ("read write", "Bearer")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("body", [False, True], ids=["basic", "body"])
async def test_a_secret_may_come_in_the_header_or_in_the_body(world: OAuthWorld, body: bool) -> None:
    app = await world.users.app(await world.users.person(), confidential=True)
    form = {
        "grant_type": "authorization_code",
        "code": (await world.granted(app))["code"],
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    credentials = {"client_id": app.client_id, "client_secret": app.client_secret}
    headers = {} if body else basic(app.client_id, app.client_secret)
    answer = await world.api.post("/oauth/token", data={**form, **(credentials if body else {})}, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic é"}, {"Authorization": "Basic /////w=="}])
async def test_an_app_that_does_not_show_its_secret_is_told_how(world: OAuthWorld, headers: dict[str, str]) -> None:
    app = await world.users.app(await world.users.person(), confidential=True)
    code = (await world.granted(app))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    nothing = await world.api.post("/oauth/token", data={**form, "client_id": app.client_id}, headers=encoded)  # type: ignore[arg-type]  # bytes, as sent
    assert refused(nothing, "invalid_client", 401)
    assert nothing.headers["www-authenticate"].startswith("Basic")
    wrong = await world.api.post("/oauth/token", data=form, headers=basic(app.client_id, "wrong"))
    assert refused(wrong, "invalid_client", 401)
    assert (await world.exchange(app, code)).status_code == 200, "none of it used the code up"


@pytest.mark.parametrize("client_id", ["nobody", "", "é" * 500])
async def test_an_app_that_nobody_registered_is_401_however_it_shows_itself(world: OAuthWorld, client_id: str) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    assert refused(await world.api.post("/oauth/token", data={**form, "client_id": client_id}), "invalid_client", 401)
    revoked = await world.api.post("/oauth/revoke", data={"token": "x", "client_id": client_id})
    assert refused(revoked, "invalid_client", 401)


async def test_an_app_shows_itself_in_one_way(world: OAuthWorld) -> None:
    alice = await world.users.person()
    app, other = await world.users.app(alice, confidential=True), await world.users.app(alice)
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    for more in ({"client_secret": app.client_secret}, {"client_id": other.client_id}):
        headers = basic(app.client_id, app.client_secret)
        answer = await world.api.post("/oauth/token", data={**form, **more}, headers=headers)
        assert refused(answer, "invalid_request")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": "v" * 42}, "invalid_request"),
        ({"code_verifier": "é" * 43}, "invalid_request"),
        ({"code_verifier": "v" * 129}, "invalid_request"),
        ({"redirect_uri": f"{REDIRECT}/"}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_grant"),
        ({"redirect_uri": "é"}, "invalid_grant"),
        ({"code": "unknown"}, "invalid_grant"),
        ({"code": ""}, "invalid_grant"),
        ({"code": "x" * 5000}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
    ],
)
async def test_what_does_not_fit_the_code_is_refused_and_leaves_it_good(
    world: OAuthWorld, changed: dict[str, str], error: str
) -> None:
    app = await world.users.app(await world.users.person())
    code = (await world.granted(app))["code"]
    assert refused(await world.exchange(app, **{"code": code, **changed}), error)
    assert (await world.exchange(app, code)).status_code == 200


async def test_a_verifier_cannot_be_left_out_by_an_app_with_a_secret_either(world: OAuthWorld) -> None:
    """PKCE downgrade at the second half: a stolen code is worth nothing even with the app's own secret."""
    app = await world.users.app(await world.users.person(), confidential=True)
    form = {"grant_type": "authorization_code", "code": (await world.granted(app))["code"], "redirect_uri": REDIRECT}
    answer = await world.api.post("/oauth/token", data=form, headers=basic(app.client_id, app.client_secret))
    assert refused(answer, "invalid_request")


async def test_a_code_of_another_app_a_used_and_an_expired_one_are_refused(world: OAuthWorld) -> None:
    alice = await world.users.person()
    app, other = await world.users.app(alice), await world.users.app(alice)
    code, late = (await world.granted(app))["code"], (await world.granted(app))["code"]
    assert refused(await world.exchange(other, code), "invalid_grant")
    tokens = (await world.exchange(app, code)).json()
    assert refused(await world.exchange(app, code), "invalid_grant")
    asked = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await world.api.get("/api/v1/apps/authorized", headers=asked)).status_code == 401, "its login ended"
    world.users.clock.ms += 60_000
    assert refused(await world.exchange(app, late), "invalid_grant")


async def test_a_parameter_that_is_given_twice_is_refused(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    body = f"grant_type=refresh_token&client_id={app.client_id}&refresh_token=a&refresh_token=b"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert refused(await world.api.post("/oauth/token", content=body, headers=headers), "invalid_request")


async def test_no_scope_is_added_by_refreshing_and_fewer_may_be_asked_for(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    tokens = (await world.exchange(app, (await world.granted(app))["code"])).json()
    form = {"grant_type": "refresh_token", "client_id": app.client_id, "refresh_token": tokens["refresh_token"]}
    for more in ("read follow", "account", "read write notifications"):
        assert refused(await world.token(**form, scope=more), "invalid_scope")
    assert (await world.token(**form, scope="read")).json()["scope"] == "read"


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 5000, "é"])
async def test_a_refresh_token_that_is_none_is_refused(world: OAuthWorld, token: str) -> None:
    app = await world.users.app(await world.users.person())
    answer = await world.token(grant_type="refresh_token", client_id=app.client_id, refresh_token=token)
    assert refused(answer, "invalid_grant")


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"grant_type=%ff", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 100, "application/x-www-form-urlencoded", 400),
        (b"x=" + b"y" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"", "application/x-www-form-urlencoded", 400),
    ],
)
async def test_a_body_that_is_no_form_is_refused(world: OAuthWorld, content: bytes, kind: str, status: int) -> None:
    for path in ("/oauth/token", "/oauth/revoke"):
        answer = await world.api.post(path, content=content, headers={"Content-Type": kind})
        assert answer.status_code in (status, 401 if not content else status), answer.text


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_revoking_either_token_ends_the_login_whatever_the_hint_says(world: OAuthWorld, kind: str) -> None:
    app = await world.users.app(await world.users.person())
    tokens = (await world.exchange(app, (await world.granted(app))["code"])).json()
    form = {"client_id": app.client_id, "token": tokens[kind], "token_type_hint": "refresh_token"}
    answer = await world.api.post("/oauth/revoke", data=form)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    asked = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await world.api.get("/api/v1/apps/authorized", headers=asked)).status_code == 401


async def test_revoking_what_is_no_token_of_the_app_is_no_error_and_changes_nothing(world: OAuthWorld) -> None:
    alice = await world.users.person()
    app, other = await world.users.app(alice), await world.users.app(alice)
    tokens = (await world.exchange(app, (await world.granted(app))["code"])).json()
    for token in ("nonsense", "x" * 5000, tokens["access_token"], tokens["refresh_token"]):
        answer = await world.api.post("/oauth/revoke", data={"client_id": other.client_id, "token": token})
        assert answer.status_code == 200, answer.text
    asked = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await world.api.get("/api/v1/apps/authorized", headers=asked)).status_code == 403, "it still lives"


async def test_revoking_needs_the_secret_of_an_app_that_has_one(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person(), confidential=True)
    for headers in ({}, basic(app.client_id, "wrong")):
        data = {"token": "x", **({} if headers else {"client_id": app.client_id})}
        assert refused(await world.api.post("/oauth/revoke", data=data, headers=headers), "invalid_client", 401)
    answer = await world.api.post("/oauth/revoke", headers=basic(app.client_id, app.client_secret))
    assert refused(answer, "invalid_request")


async def test_an_apps_token_opens_what_was_granted_and_nothing_else(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    tokens = (await world.exchange(app, (await world.granted(app, scope="read"))["code"])).json()
    asked = {"Authorization": f"Bearer {tokens['access_token']}"}
    for verb, path in (
        ("GET", "/api/v1/apps/authorized"),
        ("GET", "/api/v1/auth/sessions"),
        ("DELETE", f"/api/v1/apps/authorized/{app.client_id}"),
    ):
        answer = await world.api.request(verb, path, headers=asked)
        assert (answer.status_code, answer.json()["reason"]) == (403, "INSUFFICIENT_SCOPE"), path


async def test_pages_of_any_origin_may_call_the_routes_of_apps_and_no_other(world: OAuthWorld) -> None:
    origin = {"Origin": "https://spa.example", "Access-Control-Request-Method": "POST"}
    for path in ("/oauth/token", "/oauth/revoke", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"):
        preflight = await world.api.options(path, headers=origin)
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in preflight.headers
    for path in ("/oauth/authorize", "/api/v1/apps"):
        assert "access-control-allow-origin" not in (await world.api.options(path, headers=origin)).headers


async def test_the_metadata_says_where_everything_is(world: OAuthWorld) -> None:
    url = get_well_known_url(ISSUER, external=True)
    found = (await world.api.get(url)).json()
    AuthorizationServerMetadata(found).validate()
    assert found["issuer"] == ISSUER
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["authorization_response_iss_parameter_supported"] is True
    assert "account" not in found["scopes_supported"]
    for endpoint in ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "jwks_uri"):
        assert (await world.api.options(found[endpoint])).status_code == 204


async def test_access_tokens_are_signed_by_a_key_of_the_key_set(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    token = (await world.exchange(app, (await world.granted(app))["code"])).json()["access_token"]
    keys = jwt.PyJWKSet.from_dict((await world.api.get("/.well-known/jwks.json")).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    options = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(token, key, algorithms=["EdDSA"], audience="aviary", options=options)["scope"] == "read write"


def test_the_key_set_holds_every_key_of_a_rotation() -> None:
    keys = [SIGNING_KEY, Ed25519PrivateKey.generate()]
    shown = documents.key_set({key_id(key): key.public_key() for key in keys})["keys"]
    assert [(key["kid"], key["kty"], key["crv"], key["alg"]) for key in shown] == [
        (key_id(key), "OKP", "Ed25519", "EdDSA") for key in keys
    ]
    assert not [key for key in shown if "d" in key]


def test_a_server_of_oauth_does_not_stand_at_plain_http() -> None:
    with pytest.raises(ValueError, match="issuer"):
        documents.metadata("http://aviary.example")


async def test_neither_codes_nor_tokens_nor_addresses_nor_passwords_are_logged(
    world: OAuthWorld, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even when everything is logged that can be: Authlib would say tokens at DEBUG."""
    configure_logging("edge", "DEBUG")
    with caplog.at_level(logging.DEBUG):
        app = await world.users.app(await world.users.person(), confidential=True)
        granted = await world.granted(app, state="secret-state")
        tokens = (await world.exchange(app, granted["code"])).json()
        await world.exchange(app, granted["code"])
        await world.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"], client_id=app.client_id)
        await world.browser.get("/oauth/authorize?client_id=x&redirect_uri=https://evil.example/")
    said = caplog.text + "".join(capsys.readouterr())
    secrets = [granted["code"], *(tokens[name] for name in ("access_token", "refresh_token")), app.client_secret]
    for secret in (*secrets, "secret-state", "evil.example", "correct horse battery", VERIFIER):
        assert secret not in said
