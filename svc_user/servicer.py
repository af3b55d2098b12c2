"""Table of contents of UserService: each rpc and the function that answers it."""

from aviary.user.v1 import user_pb2 as pb
from aviary.user.v1.user_pb2_grpc import UserServiceServicer

from runtime.context import current_caller
from svc_user.deps import Deps
from svc_user.rpcs.change_password import change_password
from svc_user.rpcs.create_admin import create_admin
from svc_user.rpcs.end_session import end_session
from svc_user.rpcs.get_account import get_account
from svc_user.rpcs.get_sessions import get_sessions
from svc_user.rpcs.get_users import get_users
from svc_user.rpcs.import_user import import_user
from svc_user.rpcs.list_sessions import list_sessions
from svc_user.rpcs.list_users import list_users
from svc_user.rpcs.login import login
from svc_user.rpcs.logout import logout
from svc_user.rpcs.refresh_token import refresh_token
from svc_user.rpcs.register import register
from svc_user.rpcs.resolve_usernames import resolve_usernames
from svc_user.rpcs.set_account_state import set_account_state
from svc_user.rpcs.update_account import update_account


class UserServicer(UserServiceServicer):
    """Serves UserService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def Register(self, request: pb.RegisterRequest, context: object) -> pb.RegisterResponse:
        """See rpcs/register.py."""
        return await register(request, current_caller(), self._deps)

    async def Login(self, request: pb.LoginRequest, context: object) -> pb.LoginResponse:
        """See rpcs/login.py."""
        return await login(request, current_caller(), self._deps)

    async def RefreshToken(self, request: pb.RefreshTokenRequest, context: object) -> pb.RefreshTokenResponse:
        """See rpcs/refresh_token.py."""
        return await refresh_token(request, current_caller(), self._deps)

    async def Logout(self, request: pb.LogoutRequest, context: object) -> pb.LogoutResponse:
        """See rpcs/logout.py."""
        return await logout(request, current_caller(), self._deps)

    async def ListSessions(self, request: pb.ListSessionsRequest, context: object) -> pb.ListSessionsResponse:
        """See rpcs/list_sessions.py."""
        return await list_sessions(request, current_caller(), self._deps)

    async def EndSession(self, request: pb.EndSessionRequest, context: object) -> pb.EndSessionResponse:
        """See rpcs/end_session.py."""
        return await end_session(request, current_caller(), self._deps)

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: object) -> pb.ChangePasswordResponse:
        """See rpcs/change_password.py."""
        return await change_password(request, current_caller(), self._deps)

    async def GetSessions(self, request: pb.GetSessionsRequest, context: object) -> pb.GetSessionsResponse:
        """See rpcs/get_sessions.py."""
        return await get_sessions(request, current_caller(), self._deps)

    async def GetUsers(self, request: pb.GetUsersRequest, context: object) -> pb.GetUsersResponse:
        """See rpcs/get_users.py."""
        return await get_users(request, current_caller(), self._deps)

    async def GetAccount(self, request: pb.GetAccountRequest, context: object) -> pb.GetAccountResponse:
        """See rpcs/get_account.py."""
        return await get_account(request, current_caller(), self._deps)

    async def ResolveUsernames(
        self, request: pb.ResolveUsernamesRequest, context: object
    ) -> pb.ResolveUsernamesResponse:
        """See rpcs/resolve_usernames.py."""
        return await resolve_usernames(request, current_caller(), self._deps)

    async def ListUsers(self, request: pb.ListUsersRequest, context: object) -> pb.ListUsersResponse:
        """See rpcs/list_users.py."""
        return await list_users(request, current_caller(), self._deps)

    async def ImportUser(self, request: pb.ImportUserRequest, context: object) -> pb.ImportUserResponse:
        """See rpcs/import_user.py."""
        return await import_user(request, current_caller(), self._deps)

    async def UpdateAccount(self, request: pb.UpdateAccountRequest, context: object) -> pb.UpdateAccountResponse:
        """See rpcs/update_account.py."""
        return await update_account(request, current_caller(), self._deps)

    async def SetAccountState(self, request: pb.SetAccountStateRequest, context: object) -> pb.SetAccountStateResponse:
        """See rpcs/set_account_state.py."""
        return await set_account_state(request, current_caller(), self._deps)

    async def CreateAdmin(self, request: pb.CreateAdminRequest, context: object) -> pb.CreateAdminResponse:
        """See rpcs/create_admin.py."""
        return await create_admin(request, current_caller(), self._deps)
