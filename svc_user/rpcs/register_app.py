"""RegisterApp: a third-party app of the caller."""

import uuid

from aviary.user.v1.apps_pb2 import RegisterAppRequest, RegisterAppResponse

from runtime.context import Caller
from runtime.errors import FieldProblem
from svc_user.deps import Deps
from svc_user.domain.apps import App, hashed, new_secret
from svc_user.domain.redirects import problem
from svc_user.errors import RedirectUriInvalid


async def register_app(request: RegisterAppRequest, caller: Caller, deps: Deps) -> RegisterAppResponse:
    """Store a new app. Its secret, if it can keep one, is stored as a hash and told this once. Fails with REDIRECT_URI_INVALID."""
    wrong = [(i, why) for i, uri in enumerate(request.redirect_uris) if (why := problem(uri))]
    if wrong:
        fields = [FieldProblem(f"redirect_uris[{i}]", f"must {why}") for i, why in wrong]
        raise RedirectUriInvalid("a redirect address is not allowed", fields=fields)
    secret = new_secret() if request.confidential else None
    app = App(
        client_id=str(deps.ids.next()),
        owner_id=uuid.UUID(bytes=caller.user_id),
        name=request.name,
        redirect_uris=tuple(request.redirect_uris),
        scopes=tuple(request.scopes),
        secret_hash=hashed(secret) if secret else b"",
    )
    await deps.apps.insert_app(app)
    answer = RegisterAppResponse(
        client_id=app.client_id,
        client_secret=secret,
        name=app.name,
        redirect_uris=app.redirect_uris,
        scopes=app.scopes,
    )
    answer.created_at.FromMilliseconds(app.created_at_ms)
    return answer
