"""UpdateAccount: another name, text or e-mail address of one's own account."""

from dataclasses import replace

from aviary.user.v1.user_pb2 import UpdateAccountRequest, UpdateAccountResponse

from readers.recent import PROFILE
from runtime.context import Caller
from svc_user.changes import change_account
from svc_user.deps import Deps
from svc_user.domain.accounts import User, ensure_password_given, own_view, with_profile
from svc_user.domain.names import ensure_unreserved, username_key
from svc_user.names import own_account
from svc_user.proof import ensure_password


async def update_account(request: UpdateAccountRequest, caller: Caller, deps: Deps) -> UpdateAccountResponse:
    """Change what is given. The caller's next read shows it, on every edge.

    Fails with USERNAME_TAKEN, USERNAME_RESERVED, RENAME_LIMIT_REACHED, EMAIL_TAKEN, PASSWORD_WRONG, TOO_MANY_LOGINS, TOO_MANY_GUESSES,
    ACCOUNT_SUSPENDED.
    """
    ensure_password_given(request)
    before = await own_account(caller, deps)
    after = with_profile(before, request)
    if username_key(after.username) != username_key(before.username):
        ensure_unreserved(after.username)
    if request.HasField("current_password"):
        await ensure_password(before.user_id, request.current_password, request.client_address, deps)
    if request.HasField("email"):
        after = with_email(after, request.email, deps)
    after = await change_account(before, after, deps)
    await deps.recent.record(caller.user_id, PROFILE, after.changed_us.to_bytes(8))
    deps.faults.at("user.change.before_answer")
    return UpdateAccountResponse(user=own_view(after, deps.emails.open(after.email, after.user_id)))


def with_email(user: User, email: str, deps: Deps) -> User:
    """The account with another e-mail address; the same one is not sealed again."""
    if email == deps.emails.open(user.email, user.user_id):
        return user
    return replace(user, email=deps.emails.seal(email, user.user_id))
