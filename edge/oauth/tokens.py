"""/oauth/token and /oauth/revoke: apps exchange codes and refresh tokens, and give tokens back; the page is authorize.py's."""

from authlib.oauth2.rfc6749 import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
)
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from aviary.mesh.v1 import reason_pb2 as mesh_reason_pb2
from aviary.user.v1 import apps_pb2, reason_pb2
from aviary.user.v1.apps_pb2_grpc import AppServiceAsyncStub

from edge.auth import TokenExpired, TokenInvalid, TokenVerifier
from edge.oauth.asking import answer_of, find_app
from edge.oauth.forms import Asked, of_form
from edge.oauth.protocol import Answer, CodeGrant, Server
from edge.web import Request, Response
from runtime.errors import ServiceError, common, named

TOKEN_PATH = "/oauth/token"
REVOKE_PATH = "/oauth/revoke"

_INVALID_GRANT = {
    named(reason_pb2.Reason, reason)
    for reason in (
        reason_pb2.REASON_GRANT_INVALID,
        reason_pb2.REASON_ACCOUNT_SUSPENDED,
        reason_pb2.REASON_USER_NOT_FOUND,
    )
}
_CLIENT_INVALID = named(reason_pb2.Reason, reason_pb2.REASON_CLIENT_INVALID)
_INVALID = common(mesh_reason_pb2.REASON_INVALID_REQUEST)
_REFRESH_TOKEN_AT_MOST = 512


class Tokens:
    """Answers both routes, in the protocol's words; failures that it has none for (too busy, away) are problem documents."""

    def __init__(self, apps: AppServiceAsyncStub, public_url: str, verifier: TokenVerifier) -> None:
        self._apps = apps
        self._issuer = public_url
        self._verifier = verifier

    async def token(self, request: Request) -> Response:
        """POST /oauth/token. Raises ServiceError."""
        asked = await of_form(request, self._issuer + TOKEN_PATH)
        server = Server(self._issuer, None)
        try:
            client_id, secret = credentials(asked)
            server = Server(self._issuer, await find_app(self._apps, client_id, request))
            grant = server.exchanging(asked)
            exchange = self._exchange if isinstance(grant, CodeGrant) else self._refresh
            server.tokens = await exchange(asked, client_id, secret, request)
            return Answer(*grant.create_token_response()).response()
        except ServiceError as error:
            return server.refused(_in_protocol(error))
        except OAuth2Error as error:
            return server.refused(error)

    async def revoke(self, request: Request) -> Response:
        """POST /oauth/revoke. Raises ServiceError."""
        asked = await of_form(request, self._issuer + REVOKE_PATH)
        server = Server(self._issuer, None)
        try:
            client_id, secret = credentials(asked)
            server = Server(self._issuer, await find_app(self._apps, client_id, request))
            answer = server.revoking(asked)
            if answer.status == 200:
                await self._end(asked.form["token"], client_id, secret, request)
            return answer.response()
        except ServiceError as error:
            return server.refused(_in_protocol(error))
        except OAuth2Error as error:
            return server.refused(error)

    async def _exchange(self, asked: Asked, client_id: str, secret: str, request: Request) -> apps_pb2.AppTokens:
        exchanged = apps_pb2.ExchangeCodeRequest(
            client_id=client_id,
            client_secret=secret,
            code=asked.form["code"],
            redirect_uri=asked.form.get("redirect_uri", ""),
            code_verifier=asked.form["code_verifier"],
            client_address=request.client_address(),
        )
        return (await answer_of(self._apps.ExchangeCode, exchanged, request)).tokens

    async def _refresh(self, asked: Asked, client_id: str, secret: str, request: Request) -> apps_pb2.AppTokens:
        refreshed = apps_pb2.RefreshAppTokenRequest(
            client_id=client_id,
            client_secret=secret,
            refresh_token=asked.form["refresh_token"],
            scopes=asked.form.get("scope", "").split(),
            client_address=request.client_address(),
        )
        return (await answer_of(self._apps.RefreshAppToken, refreshed, request)).tokens

    async def _end(self, token: str, client_id: str, secret: str, request: Request) -> None:
        """End the login of a token, of either kind. What is no token of ours is told nothing about: the secret is still looked at."""
        revoked = apps_pb2.RevokeAppTokenRequest(client_id=client_id, client_secret=secret)
        try:
            revoked.session_id = self._verifier.verify(token).caller.session_id
        except (TokenInvalid, TokenExpired):
            revoked.token = token if len(token) <= _REFRESH_TOKEN_AT_MOST else ""
        await answer_of(self._apps.RevokeAppToken, revoked, request)


def credentials(asked: Asked) -> tuple[str, str]:
    """Id and secret, empty where there is none, that an app shows in one way. Raises OAuth2Error for several ways and parameters."""
    repeated = [name for name, values in asked.parameters.datalist.items() if len(values) > 1]
    if repeated:
        raise InvalidRequestError("a parameter is given more than once")
    try:
        client_id, secret = extract_basic_authorization(dict(asked.headers or {}))
    except ValueError:
        raise InvalidClientError(description="the Basic credentials are malformed", status_code=401) from None
    form_id, form_secret = asked.form.get("client_id"), asked.form.get("client_secret")
    if client_id is None:
        return form_id or "", form_secret or ""
    if form_secret is not None or form_id not in (None, client_id):
        raise InvalidRequestError("the app shows itself in two ways")
    return client_id, secret or ""


def _in_protocol(error: ServiceError) -> OAuth2Error:
    """The failure in the protocol's words. Raises the error itself when there are none."""
    if error.reason == _CLIENT_INVALID:
        return InvalidClientError(description="the app is unknown, or its secret is wrong", status_code=401)
    if error.reason in _INVALID_GRANT:
        return InvalidGrantError(error.detail)
    if error.reason == _INVALID:
        scopes = any(problem.field.startswith("scopes") for problem in error.fields)
        return InvalidScopeError("a scope was not granted") if scopes else InvalidGrantError("a value is malformed")
    raise error
