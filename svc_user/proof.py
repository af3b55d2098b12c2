"""Who somebody is, by a password: for logging in, and for what needs the password of somebody who is logged in."""

import uuid
from dataclasses import dataclass

from aviary.user.v1.user_pb2 import USER_STATUS_DELETED, USER_STATUS_SUSPENDED

from svc_user.deps import Deps
from svc_user.domain.accounts import NO_ACCOUNT, User
from svc_user.domain.logins import Password
from svc_user.domain.names import is_email, username_key
from svc_user.errors import AccountSuspended, CredentialsWrong, PasswordWrong
from svc_user.names import bearers


@dataclass(frozen=True, slots=True)
class Proven:
    """Whose password it was, and since when it is the account's: what a login under it is started with."""

    user: User
    password_us: int


async def authenticate(login: str, password: str, address: str, deps: Deps) -> Proven:
    """The account that has this name, or e-mail address, and password. Starts nothing.

    Fails with CREDENTIALS_WRONG, at the same cost whichever of the two is wrong, TOO_MANY_LOGINS, TOO_MANY_GUESSES and, for who
    knows the password, ACCOUNT_SUSPENDED.
    """
    key = deps.emails.claim_key(login) if is_email(login) else username_key(login)
    user = (await bearers([key], deps)).get(key)
    # Who does not exist has a password, too, as far as looking and hashing go.
    known = await deps.logins.password(user.user_id if user else NO_ACCOUNT)
    if not await _matches(known, password, deps) or not user or not known or user.status == USER_STATUS_DELETED:
        raise CredentialsWrong("no account has this name and password")
    if user.status == USER_STATUS_SUSPENDED:
        raise AccountSuspended("the account is suspended")
    return Proven(user, known.changed_us)


async def ensure_password(user_id: uuid.UUID, password: str, address: str, deps: Deps) -> Password:
    """The password of an account, which this is. Fails with PASSWORD_WRONG, TOO_MANY_LOGINS, TOO_MANY_GUESSES."""
    known = await deps.logins.password(user_id)
    if not await _matches(known, password, deps) or not known:
        raise PasswordWrong("the current password is another one")
    return known


async def _matches(known: Password | None, password: str, deps: Deps) -> bool:
    return await deps.passwords.matches(known.hash if known else None, password)
