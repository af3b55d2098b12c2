"""GrantCode: a user lets an app in."""

import uuid

from aviary.user.v1.apps_pb2 import GrantCodeRequest, GrantCodeResponse

from runtime.context import Caller
from runtime.errors import FieldProblem, InvalidArgument
from svc_user.apps.clients import active_user, find_app
from svc_user.apps.codes import grant
from svc_user.apps.consents import let_in
from svc_user.deps import Deps
from svc_user.errors import RedirectUriInvalid


async def grant_code(request: GrantCodeRequest, _: Caller, deps: Deps) -> GrantCodeResponse:
    """Record the consent and give a code for it. Fails with APP_NOT_FOUND, REDIRECT_URI_INVALID, USER_NOT_FOUND, ACCOUNT_SUSPENDED."""
    app = await find_app(request.client_id, deps)
    if request.redirect_uri not in app.redirect_uris:
        raise RedirectUriInvalid("the redirect address is none of the app's")
    scopes = tuple(dict.fromkeys(request.scopes))
    if not set(scopes) <= set(app.scopes):
        raise InvalidArgument("a scope is none of the app's", fields=[FieldProblem("scopes", "must be the app's")])
    user = await active_user(uuid.UUID(bytes=request.user_id), deps)
    consent = await let_in(user.user_id, app, scopes, deps)
    return GrantCodeResponse(code=await grant(consent, scopes, request, deps))
