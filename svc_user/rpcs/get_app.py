"""GetApp: one app, for the pages and the protocol."""

from aviary.user.v1.apps_pb2 import GetAppRequest, GetAppResponse

from runtime.context import Caller
from svc_user.apps.clients import find_app
from svc_user.deps import Deps
from svc_user.domain.apps import app_view


async def get_app(request: GetAppRequest, _: Caller, deps: Deps) -> GetAppResponse:
    """The app of this id. Fails with APP_NOT_FOUND."""
    return GetAppResponse(app=app_view(await find_app(request.client_id, deps)))
