"""Who somebody is, by a password: for logging in, and for what needs the password of somebody who is logged in."""

import uuid
from dataclasses import dataclass

from aviary.user.v1.user_pb2 import USER_STATUS_DELETED, USER_STATUS_SUSPENDED

from svc_user.deps import Deps
from svc_user.domain.accounts import NO_ACCOUNT, User
from svc_user.domain.logins import Password
from svc_user.domain.names import is_email, username_key
from svc_user.errors import AccountSuspended, CredentialsWrong, PasswordWrong
from svc_user.names import bearer
from svc_user.passwords import Place


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
    with deps.passwords.place() as place:
        user = await bearer(key, deps)
        async with deps.guesses.attempt(key, user.user_id if user else None, address, hidden=True) as attempt:
            # Who does not exist has a password, too, as far as looking and hashing go.
            known = await deps.logins.password(user.user_id if user else NO_ACCOUNT)
            attempt.judge(await _matches(known, password, place) and user is not None)
    if not attempt.right or not user or not known or user.status == USER_STATUS_DELETED:
        raise CredentialsWrong("no account has this name and password")
    if user.status == USER_STATUS_SUSPENDED:
        raise AccountSuspended("the account is suspended")
    return Proven(user, known.changed_us)


async def prove(user_id: uuid.UUID, password: str, address: str, place: Place, deps: Deps) -> Password | None:
    """The password of an account if this is it, None when it is another one. Raises TooManyGuesses."""
    async with deps.guesses.attempt(b"user:" + user_id.bytes, user_id, address) as attempt:
        known = await deps.logins.password(user_id)
        attempt.judge(await _matches(known, password, place))
    return known if attempt.right else None


async def ensure_password(user_id: uuid.UUID, password: str, address: str, deps: Deps) -> Password:
    """As `prove`, but another password fails with PASSWORD_WRONG, and no place in the line with TOO_MANY_LOGINS."""
    with deps.passwords.place() as place:
        known = await prove(user_id, password, address, place, deps)
    if known is None:
        raise PasswordWrong()
    return known


async def _matches(known: Password | None, password: str, place: Place) -> bool:
    return await place.matches(known.hash if known else None, password)
