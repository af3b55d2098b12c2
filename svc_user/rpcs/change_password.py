"""ChangePassword: another password, and the end of all other logins."""

import uuid

from aviary.user.v1.user_pb2 import ChangePasswordRequest, ChangePasswordResponse

from runtime.context import Caller
from runtime.ids import ms_of
from svc_user.deps import Deps
from svc_user.domain.logins import NO_LOGIN, Password
from svc_user.errors import PasswordWrong
from svc_user.proof import ensure_password, prove
from svc_user.sessions import end_others


async def change_password(request: ChangePasswordRequest, caller: Caller, deps: Deps) -> ChangePasswordResponse:
    """Set another password and end all other logins.

    Fails with PASSWORD_WRONG, PASSWORD_TOO_COMMON, TOO_MANY_LOGINS, TOO_MANY_GUESSES. The write that sets the password voids the
    other logins, so whoever dies after it leaves none; who then repeats the change from the same login is answered as if it were new.
    """
    deps.passwords.ensure_good(request.new_password, "new_password")
    user_id, own = uuid.UUID(bytes=caller.user_id), uuid.UUID(bytes=caller.session_id or NO_LOGIN)
    with deps.passwords.place() as place:
        known = await prove(user_id, request.current_password, request.client_address, place, deps)
        hashed = await place.hash(request.new_password) if known else ""
    if known:
        # Above the write that made the account, too, by whoever's clock that was: a lesser time would be answered and not hold.
        least = max(known.changed_us, ms_of(user_id.bytes) * 1000) + 1
        changed = Password(hashed, max(deps.clock.now_us(), least))
        with deps.signals.doubted_unless_told():
            deps.faults.at("user.password.before_batch")
            await deps.logins.set_password(user_id, changed, kept_login=own)
            deps.faults.at("user.password.after_batch")
            await end_others(user_id, own, deps)
    else:
        await _ensure_changed_before(user_id, own, request, deps)
        await end_others(user_id, own, deps)
    return ChangePasswordResponse()


async def _ensure_changed_before(
    user_id: uuid.UUID, own: uuid.UUID, request: ChangePasswordRequest, deps: Deps
) -> None:
    """Raises PasswordWrong unless it was this login that made the new password the account's."""
    standing = (await deps.logins.standings([user_id])).get(user_id)
    if standing is None or standing.kept_login != own:
        raise PasswordWrong()
    await ensure_password(user_id, request.new_password, request.client_address, deps)
