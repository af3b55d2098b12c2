"""RegisterApp: a third-party app of the caller."""

import uuid

from aviary.user.v1.apps_pb2 import RegisterAppRequest, RegisterAppResponse

from idempotency import IdempotencyKeyReused, digest, ensure_same
from runtime.context import Caller
from runtime.errors import FieldProblem
from svc_user.deps import Deps
from svc_user.domain.apps import AppClaim, hashed, new_app, registered_view
from svc_user.domain.redirects import problem
from svc_user.errors import RedirectUriInvalid


async def register_app(request: RegisterAppRequest, caller: Caller, deps: Deps) -> RegisterAppResponse:
    """Store a new app. Its secret, if it can keep one, is stored as a hash. Fails with REDIRECT_URI_INVALID, IDEMPOTENCY_KEY_REUSED.

    Whatever can be refused is refused before the claim, and the claim fixes whatever a retry could find otherwise.
    """
    wrong = [(i, why) for i, uri in enumerate(request.redirect_uris) if (why := problem(uri))]
    if wrong:
        fields = [FieldProblem(f"redirect_uris[{i}]", f"must {why}") for i, why in wrong]
        raise RedirectUriInvalid("a redirect address is not allowed", fields=fields)
    owner_id = uuid.UUID(bytes=caller.user_id)
    claim = await claimed(request, owner_id, deps)
    deps.faults.at("user.app.after_claim")
    app = new_app(claim, owner_id, request)
    await deps.apps.insert_app(app)
    deps.faults.at("user.app.after_store")
    return registered_view(app, deps.tokens.client_secret(app.client_id) if request.confidential else None)


async def claimed(request: RegisterAppRequest, owner_id: uuid.UUID, deps: Deps) -> AppClaim:
    """The claim to go on with: a fresh one, or that of an earlier call with the key. Raises IdempotencyKeyReused."""
    wanted = wanted_claim(str(deps.ids.next()), request, deps)
    if not request.idempotency_key:
        return wanted
    claim = await deps.apps.claim(owner_id, request.idempotency_key, wanted)
    ensure_same(claim.body_hash, wanted.body_hash)
    # The key that makes secrets was changed since: what was told then still holds, and nobody can tell it again.
    if claim != wanted_claim(claim.client_id, request, deps):
        raise IdempotencyKeyReused("the idempotency key was used before, and the secret of its app can be told no more")
    return claim


def wanted_claim(client_id: str, request: RegisterAppRequest, deps: Deps) -> AppClaim:
    """What this request claims for an app of this id."""
    secret_hash = hashed(deps.tokens.client_secret(client_id)) if request.confidential else b""
    return AppClaim(digest(request), client_id, secret_hash)
