"""Table of contents of UserService: each rpc and the function that answers it."""

from aviary.user.v1 import user_pb2 as pb
from aviary.user.v1.user_pb2_grpc import UserServiceServicer

from runtime.context import current_caller
from svc_user.deps import Deps
from svc_user.rpcs.get_account import get_account
from svc_user.rpcs.get_users import get_users
from svc_user.rpcs.import_user import import_user
from svc_user.rpcs.list_users import list_users
from svc_user.rpcs.login import login
from svc_user.rpcs.logout import logout
from svc_user.rpcs.refresh_token import refresh_token
from svc_user.rpcs.register import register
from svc_user.rpcs.resolve_usernames import resolve_usernames


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
