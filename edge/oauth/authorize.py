"""/oauth/authorize: somebody logs in, is told which app wants what, and lets it in or not; tokens for it are tokens.py's.

There is no session of the browser: who lets an app in types the password each time, so there is nothing to take over.
"""

import uuid
from dataclasses import dataclass

from authlib.oauth2.rfc6749 import InvalidClientError, OAuth2Error
from aviary.mesh.v1 import reason_pb2 as mesh_reason_pb2
from aviary.user.v1 import apps_pb2, reason_pb2
from aviary.user.v1.apps_pb2_grpc import AppServiceAsyncStub

from edge import problems
from edge.oauth.asking import answer_of, find_app
from edge.oauth.form_tokens import FormTokens
from edge.oauth.forms import Asked, of_query, read_form
from edge.oauth.html import Consent, failure_page, sealed
from edge.oauth.protocol import CodeGrant, Server
from edge.web import Request, Response
from runtime.errors import ServiceError, common, named

PATH = "/oauth/authorize"

_UNKNOWN_APP = "The app that sent you here is not known to Aviary."
_BAD_REQUEST = (
    "The app that sent you here asked for something in a way that Aviary does not take, or wants you to be sent to an address that it"
    " never registered. You have not been sent on."
)
_OLD_FORM = "This form was not shown to this browser, or its cookies are blocked. Go back to the app and begin again."
_NO_DECISION = "The form does not say whether you let the app in. Go back to the app and begin again."
_AWAY = "Something that this needs is down or busy. Try again in a moment."


def _user(reason: "reason_pb2.Reason.ValueType") -> str:
    return named(reason_pb2.Reason, reason)


_WRONG = "No account has this name and password."
_TOO_MANY = "There were too many tries. Wait a while, then try again."
_IN_WORDS = {
    _user(reason_pb2.REASON_CREDENTIALS_WRONG): _WRONG,
    common(mesh_reason_pb2.REASON_INVALID_REQUEST): _WRONG,
    _user(reason_pb2.REASON_TOO_MANY_LOGINS): _TOO_MANY,
    _user(reason_pb2.REASON_TOO_MANY_GUESSES): _TOO_MANY,
    _user(reason_pb2.REASON_ACCOUNT_SUSPENDED): "This account is suspended.",
}


@dataclass(frozen=True, slots=True)
class _Valid:
    """A request that may be shown to somebody: the app is known, and the address is its own."""

    server: Server
    asked: Asked
    grant: CodeGrant
    app: apps_pb2.App

    @property
    def scopes(self) -> list[str]:
        """What would be granted."""
        return str(self.asked.scope).split()


class Authorize:
    """Answers GET and POST of the page. The form comes back to the same query, so that both judge the same request."""

    def __init__(self, apps: AppServiceAsyncStub, public_url: str) -> None:
        self._apps = apps
        self._issuer = public_url
        self._forms = FormTokens(https=public_url.startswith("https:"))

    async def show(self, request: Request) -> Response:
        """GET: the page, or where the app learns what is wrong with its request."""
        try:
            valid = await self._validate(request)
        except ServiceError as error:
            return _failed(error, request)
        return self._page(valid, request) if isinstance(valid, _Valid) else valid

    async def decide(self, request: Request) -> Response:
        """POST: what somebody decided. Only a redirect address that was checked again is sent anything."""
        try:
            given = dict(await read_form(request))
            if not self._forms.is_ours(request, given.get("form_token", "")):
                return failure_page(_OLD_FORM, 403)
            valid = await self._validate(request)
            if not isinstance(valid, _Valid):
                return valid
            if given.get("decision") == "deny":
                return _answered(valid, None)
            if given.get("decision") != "allow":
                return failure_page(_NO_DECISION, 400)
            return await self._allow(valid, given, request)
        except ServiceError as error:
            return _failed(error, request)

    async def _allow(self, valid: _Valid, given: dict[str, str], request: Request) -> Response:
        login = given.get("login", "")
        credentials = apps_pb2.AuthenticateRequest(
            login=login, password=given.get("password", ""), client_address=request.client_address()
        )
        try:
            proven = await answer_of(self._apps.Authenticate, credentials, request)
        except ServiceError as error:
            return self._page(valid, request, error, login)
        granted = apps_pb2.GrantCodeRequest(
            user_id=uuid.UUID(proven.user.user_id).bytes,
            client_id=valid.app.client_id,
            redirect_uri=valid.asked.parameters.redirect_uri,
            scopes=valid.scopes,
            code_challenge=valid.asked.form["code_challenge"],
            password_us=proven.password_us,
        )
        valid.grant.code = (await answer_of(self._apps.GrantCode, granted, request)).code
        return _answered(valid, proven.user.user_id)

    async def _validate(self, request: Request) -> _Valid | Response:
        """The request as Authlib judges it, or the answer that refuses it. Raises ServiceError."""
        asked = of_query(request, self._issuer + PATH)
        app = await find_app(self._apps, asked.parameters.client_id, request)
        server = Server(self._issuer, app)
        if app is None:
            return failure_page(_UNKNOWN_APP, 400)
        try:
            grant = server.validated(asked)
        except OAuth2Error as error:
            # Authlib names an address only once it was found to be the app's.
            if not error.redirect_uri:
                return failure_page(_UNKNOWN_APP if isinstance(error, InvalidClientError) else _BAD_REQUEST, 400)
            return sealed(server.refused(error))
        except ValueError:
            return failure_page(_BAD_REQUEST, 400)
        return _Valid(server, asked, grant, app)

    def _page(self, valid: _Valid, request: Request, error: ServiceError | None = None, login: str = "") -> Response:
        token, headers = self._forms.issue(request)
        page = Consent(valid.app, valid.asked.parameters.redirect_uri, valid.scopes, request.query, token)
        if error is None:
            return page.response(headers=headers)
        refusal = problems.render(error, request.request_id)
        problem = _IN_WORDS.get(error.reason, _AWAY)
        return page.response(refusal.status, [*headers, *refusal.headers], problem=problem, login=login)


def _answered(valid: _Valid, user_id: str | None) -> Response:
    """The redirect that tells the app: a code, or for nobody that it was refused."""
    return sealed(valid.server.decided(valid.asked, valid.grant, user_id))


def _failed(error: ServiceError, request: Request) -> Response:
    """The page for a failure: this is read by people, not by programs."""
    refusal = problems.render(error, request.request_id)
    text = _BAD_REQUEST if refusal.status == 400 else _IN_WORDS.get(error.reason, _AWAY)
    return failure_page(text, refusal.status, refusal.headers)
