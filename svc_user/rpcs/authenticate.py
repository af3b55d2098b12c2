"""Authenticate: who has this name and password, without a login."""

from aviary.user.v1.apps_pb2 import AuthenticateRequest, AuthenticateResponse

from runtime.context import Caller
from svc_user import proof
from svc_user.deps import Deps
from svc_user.domain.accounts import public_view


async def authenticate(request: AuthenticateRequest, _: Caller, deps: Deps) -> AuthenticateResponse:
    """The account, as anybody may see it. Fails as Login does, and its guesses are counted as Login's are."""
    proven = await proof.authenticate(request.login, request.password, request.client_address, deps)
    return AuthenticateResponse(user=public_view(proven.user), password_us=proven.password_us)
