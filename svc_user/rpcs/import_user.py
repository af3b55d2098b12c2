"""ImportUser: an account from elsewhere that nobody can log in to."""

from aviary.user.v1.user_pb2 import ImportUserRequest, ImportUserResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import User
from svc_user.domain.names import Claim, username_key
from svc_user.errors import UsernameTaken
from svc_user.names import account_of, bears, claim
from svc_user.registration import make_account


async def import_user(request: ImportUserRequest, _: Caller, deps: Deps) -> ImportUserResponse:
    """Make an account, or find the one that has the username. Fails with USERNAME_TAKEN while somebody registers
    with it, or gave it up lately.

    An import that died half-way left its claim: the next call goes on with its id and writes the same rows.
    """
    wanted = Claim(deps.ids.next(), imported=True)
    key = username_key(request.username)
    holder = await claim(key, wanted, deps)
    if holder.user_id != wanted.user_id:
        account = await account_of(holder.user_id, deps)
        if account is not None and bears(account, key, deps):
            return ImportUserResponse(user_id=holder.user_id.bytes, created=False)
        if account is not None or not holder.imported:
            raise UsernameTaken("is being registered, or was given up lately")
    user = User(
        user_id=holder.user_id,
        username=request.username,
        display_name=request.display_name,
        bio=request.bio,
        verified=request.verified,
    )
    await make_account(user, None, holder, deps)
    return ImportUserResponse(user_id=holder.user_id.bytes, created=True)
