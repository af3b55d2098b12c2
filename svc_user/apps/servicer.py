"""Table of contents of AppService: each rpc and the function that answers it."""

from aviary.user.v1 import apps_pb2 as pb
from aviary.user.v1.apps_pb2_grpc import AppServiceServicer

from runtime.context import current_caller
from svc_user.deps import Deps
from svc_user.rpcs.authenticate import authenticate
from svc_user.rpcs.exchange_code import exchange_code
from svc_user.rpcs.get_app import get_app
from svc_user.rpcs.grant_code import grant_code
from svc_user.rpcs.list_authorized_apps import list_authorized_apps
from svc_user.rpcs.refresh_app_token import refresh_app_token
from svc_user.rpcs.register_app import register_app
from svc_user.rpcs.revoke_app_token import revoke_app_token
from svc_user.rpcs.withdraw_app import withdraw_app


class AppServicer(AppServiceServicer):
    """Serves AppService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def RegisterApp(self, request: pb.RegisterAppRequest, context: object) -> pb.RegisterAppResponse:
        """See rpcs/register_app.py."""
        return await register_app(request, current_caller(), self._deps)

    async def ListAuthorizedApps(
        self, request: pb.ListAuthorizedAppsRequest, context: object
    ) -> pb.ListAuthorizedAppsResponse:
        """See rpcs/list_authorized_apps.py."""
        return await list_authorized_apps(request, current_caller(), self._deps)

    async def WithdrawApp(self, request: pb.WithdrawAppRequest, context: object) -> pb.WithdrawAppResponse:
        """See rpcs/withdraw_app.py."""
        return await withdraw_app(request, current_caller(), self._deps)

    async def GetApp(self, request: pb.GetAppRequest, context: object) -> pb.GetAppResponse:
        """See rpcs/get_app.py."""
        return await get_app(request, current_caller(), self._deps)

    async def Authenticate(self, request: pb.AuthenticateRequest, context: object) -> pb.AuthenticateResponse:
        """See rpcs/authenticate.py."""
        return await authenticate(request, current_caller(), self._deps)

    async def GrantCode(self, request: pb.GrantCodeRequest, context: object) -> pb.GrantCodeResponse:
        """See rpcs/grant_code.py."""
        return await grant_code(request, current_caller(), self._deps)

    async def ExchangeCode(self, request: pb.ExchangeCodeRequest, context: object) -> pb.ExchangeCodeResponse:
        """See rpcs/exchange_code.py."""
        return await exchange_code(request, current_caller(), self._deps)

    async def RefreshAppToken(self, request: pb.RefreshAppTokenRequest, context: object) -> pb.RefreshAppTokenResponse:
        """See rpcs/refresh_app_token.py."""
        return await refresh_app_token(request, current_caller(), self._deps)

    async def RevokeAppToken(self, request: pb.RevokeAppTokenRequest, context: object) -> pb.RevokeAppTokenResponse:
        """See rpcs/revoke_app_token.py."""
        return await revoke_app_token(request, current_caller(), self._deps)
