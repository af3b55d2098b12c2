"""OAuth 2.0 as Authlib speaks it, over facts that were fetched before: Authlib does not wait, so nothing here asks another process.

Authlib judges what can be seen in a request and words every answer. What takes a secret that is not here (of an app, a code, a
refresh token) svc_user judges, between the two halves of a grant; here it is taken as right.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from authlib.oauth2 import rfc6749, rfc7009, rfc7636, rfc9207
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    OAuth2Request,
    TokenMixin,
    scope_to_list,
)
from aviary.user.v1 import apps_pb2

from edge.web import JSON, Header, Response

_S256 = "S256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_SECRET_METHODS = ("client_secret_basic", "client_secret_post")
AUTH_METHODS = ["none", *_SECRET_METHODS]
SCOPE_SEPARATOR = " "

Headers = Sequence[tuple[str, str]]


class Client(ClientMixin):
    """An app, as Authlib asks about it."""

    def __init__(self, app: apps_pb2.App) -> None:
        self.app = app

    def get_client_id(self) -> str:
        """Its public id."""
        return self.app.client_id

    def get_default_redirect_uri(self) -> str:
        """None: a request names its address."""
        return ""

    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        """The scopes that are asked for, all of the app's when none are. Raises InvalidScopeError when one is not the app's."""
        wanted = scope_to_list(scope or "") or self.app.scopes
        if not set(wanted) <= set(self.app.scopes):
            raise InvalidScopeError("a scope is none of the app's")
        return SCOPE_SEPARATOR.join(dict.fromkeys(wanted))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it is one that the app registered, character by character."""
        return redirect_uri in self.app.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """True: svc_user, which has its hash, compares it when the secret is used."""
        return True

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """An app that can keep a secret shows it, another one has none to show."""
        return (method in _SECRET_METHODS) == self.app.confidential

    def check_response_type(self, response_type: str) -> bool:
        """Codes alone."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Every app may all that there is."""
        return True


class Presented(TokenMixin):
    """A code or a refresh token that is looked up where it is exchanged; `scope` is the most that it can be for."""

    code_challenge_method = _S256

    def __init__(self, request: OAuth2Request, scope: str = "") -> None:
        self._request = request
        self._scope = scope

    @property
    def code_challenge(self) -> str:
        """What fits the verifier, so that Authlib judges its form; whether it is the right one is compared with the code's own."""
        challenge = rfc7636.create_s256_code_challenge(self._request.form["code_verifier"])  # type: ignore[no-untyped-call]
        return str(challenge)

    def get_redirect_uri(self) -> str:
        """As in the request: compared with the code's own."""
        return self._request.form.get("redirect_uri") or ""

    def get_scope(self) -> str:
        """The most that it can be for."""
        return self._scope

    def check_client(self, client: ClientMixin) -> bool:
        """True: compared where it is exchanged."""
        return True


class S256Only(rfc7636.CodeChallenge):
    """PKCE that cannot be left out or weakened: without a method the protocol would mean `plain`."""

    DEFAULT_CODE_CHALLENGE_METHOD = _S256
    SUPPORTED_CODE_CHALLENGE_METHOD = [_S256]  # noqa: RUF012 - Authlib's spelling

    def validate_code_challenge(self, grant: Any, redirect_uri: str | None) -> None:
        """Refuse a request without a challenge of S256."""
        super().validate_code_challenge(grant, redirect_uri)
        given = grant.request.payload.data
        if given.get("code_challenge_method") != _S256 or not _CHALLENGE.fullmatch(given.get("code_challenge", "")):
            raise InvalidRequestError("PKCE is required: code_challenge of 43 characters, code_challenge_method=S256")

    def validate_code_verifier(self, grant: Any, result: Any) -> None:
        """Refuse a request without a well-formed verifier, whoever the app is."""
        if not rfc7636.challenge.CODE_VERIFIER_PATTERN.match(grant.request.form.get("code_verifier", "")):
            raise InvalidRequestError("code_verifier must be 43 to 128 characters")
        super().validate_code_verifier(grant, result)


class CodeGrant(rfc6749.AuthorizationCodeGrant):
    """Codes; `code` is the one that svc_user made and stored."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    code = ""

    def generate_authorization_code(self) -> str:
        """The code."""
        return self.code

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Done before: svc_user made it."""

    def query_authorization_code(self, code: str, client: ClientMixin) -> Presented:
        """The code, taken as right."""
        return Presented(self.request)

    def delete_authorization_code(self, authorization_code: Presented) -> None:
        """Done before: svc_user used it up."""

    def authenticate_user(self, authorization_code: Presented) -> bool:
        """True: svc_user knows whose it is."""
        return True


class RefreshGrant(rfc6749.RefreshTokenGrant):
    """Refresh tokens."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Presented:
        """The token, taken as right. It is for no more than the app may; what it is for exactly svc_user compares."""
        return Presented(self.request, SCOPE_SEPARATOR.join(self.server.client.app.scopes))

    def authenticate_user(self, refresh_token: TokenMixin) -> bool:
        """True: svc_user knows whose it is."""
        return True

    def revoke_old_credential(self, refresh_token: TokenMixin) -> None:
        """Not at once: it works until its successor was used (mechanisms of svc_user)."""


class Revocation(rfc7009.RevocationEndpoint):
    """RFC 7009, but for the end of the login: svc_user ends it before the answer is given."""

    CLIENT_AUTH_METHODS = AUTH_METHODS

    def query_token(self, token_string: str, token_type_hint: str) -> None:
        """Nothing: what the token is, and whether it is the app's, is found where its login ends."""


class Issuer(rfc9207.IssuerParameter):
    """Names this server in every answer that goes through the browser, so that an app does not take it for another's (RFC 9207)."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def get_issuer(self) -> str:
        """Our own address."""
        return self._issuer


class Answer:
    """An answer in Authlib's words."""

    def __init__(self, status: int, body: object, headers: Headers) -> None:
        self.status, self.body, self.headers = status, body, dict(headers)

    @property
    def location(self) -> str:
        """Where it redirects to, empty for nowhere."""
        return self.headers.get("Location", "")

    @location.setter
    def location(self, location: str) -> None:
        self.headers["Location"] = location

    def response(self) -> Response:
        """The answer as the edge sends it. A redirect after a form is 303, lest a browser sends the password along."""
        plain = {name: value for name, value in self.headers.items() if name.lower() != "content-type"}
        headers: list[Header] = [(name.lower().encode(), value.encode("ascii")) for name, value in plain.items()]
        if self.location:
            return Response(303, headers=headers)
        return Response(self.status, orjson.dumps(self.body), JSON, headers)


class Server(AuthorizationServer):
    """Authlib's server for one request of the app that was fetched, None when there is none of that id."""

    def __init__(self, issuer: str, app: apps_pb2.App | None) -> None:
        super().__init__()
        self.client = Client(app) if app else None
        self.tokens = apps_pb2.AppTokens()
        """What svc_user gave for the code or refresh token."""
        self._issuer = Issuer(issuer)
        self.register_grant(CodeGrant, [S256Only(required=True)])
        self.register_grant(RefreshGrant)
        self.register_endpoint(Revocation)

    def query_client(self, client_id: str) -> Client | None:  # type: ignore[override]  # Authlib asks for None, its stubs do not know
        """The app of this id."""
        return self.client if self.client and client_id == self.client.app.client_id else None

    def generate_token(self, *_: object, **__: object) -> dict[str, str | int]:
        """The tokens, as the protocol names their parts."""
        return {
            "token_type": "Bearer",
            "access_token": self.tokens.access_token,
            "expires_in": self.tokens.expires_in,
            "refresh_token": self.tokens.refresh_token,
            "scope": SCOPE_SEPARATOR.join(self.tokens.scopes),
        }

    def save_token(self, token: Mapping[str, object], request: OAuth2Request) -> None:
        """Nothing: tokens are kept by nobody."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        """The request, which is one already."""
        return request

    def handle_response(self, status: int, body: object, headers: Headers) -> Answer:  # type: ignore[override]  # Authlib gives pairs
        """The answer; one that redirects names this server."""
        answer = Answer(status, body, headers)
        self._issuer.add_issuer_parameter(self, answer)
        return answer

    def validated(self, asked: OAuth2Request) -> CodeGrant:
        """The request for a code, worth showing to somebody. Raises OAuth2Error, with an address only if that is the app's.

        Raises ValueError for what Authlib cannot even refuse: its errors repeat the request, and take no characters beyond RFC 6749.
        """
        grant: CodeGrant = self.get_consent_grant(asked)  # type: ignore[no-untyped-call]
        return grant

    def decided(self, asked: OAuth2Request, grant: CodeGrant, user_id: str | None) -> Response:
        """The redirect that tells the app what the user decided: the grant's code, or for nobody that it was refused."""
        answer: Any = self.create_authorization_response(asked, user_id, grant=grant)
        return Answer.response(answer)

    def exchanging(self, asked: OAuth2Request) -> "CodeGrant | RefreshGrant":
        """The grant that a token request asks for, as far as it can be judged without svc_user. Raises OAuth2Error."""
        if not asked.form.get("grant_type"):
            # Authlib calls what is not said not supported; RFC 6749, 5.2 calls it missing.
            raise InvalidRequestError("grant_type is missing: authorization_code or refresh_token")
        grant: CodeGrant | RefreshGrant = self.get_token_grant(asked)  # type: ignore[assignment]  # the two that are registered
        grant.validate_token_request()
        return grant

    def revoking(self, asked: OAuth2Request) -> Answer:
        """The answer to a request to revoke, with status 200 if the token may be looked at now."""
        answer: Answer = self.create_endpoint_response(Revocation.ENDPOINT_NAME, asked)  # type: ignore[no-untyped-call]
        return answer

    def refused(self, error: OAuth2Error) -> Response:
        """The answer that tells an app of a failure."""
        return self.handle_error_response(None, error).response()

    def handle_error_response(self, request: OAuth2Request | None, error: OAuth2Error) -> Answer:
        """The failure in the protocol's words. Who is not the app is 401 however it showed itself; Authlib says 400 without Basic."""
        if isinstance(error, InvalidClientError):
            error.status_code = 401
        return self.handle_response(*error())
