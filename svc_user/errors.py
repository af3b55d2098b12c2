"""Failures of accounts and logins; failures that no area owns are in runtime.errors."""

from aviary.user.v1 import reason_pb2

from runtime.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldProblem,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    named,
)


class UsernameTaken(AlreadyExists):
    """Another account has the username, or is being made with it."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_USERNAME_TAKEN)

    def __init__(self, why: str = "is another account's") -> None:
        super().__init__(f"the username {why}", fields=[FieldProblem("username", f"{why}; choose another one")])


class EmailTaken(AlreadyExists):
    """Another account has the e-mail address, or is being made with it."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_EMAIL_TAKEN)

    def __init__(self) -> None:
        why = "is another account's"
        super().__init__(f"the e-mail address {why}", fields=[FieldProblem("email", f"{why}; give another one")])


class RenameLimitReached(ResourceExhausted):
    """The account took as many other usernames lately as it may."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_RENAME_LIMIT_REACHED)

    def __init__(self, most: int, days: int, wait_ms: int) -> None:
        text = f"may change to {most} other names within {days} days"
        fields = [FieldProblem("username", f"{text}; this would be one more")]
        super().__init__(f"the username {text}", fields=fields, retry_after_s=wait_ms / 1000)


class UsernameReserved(FailedPrecondition):
    """The username is kept for the system, or is easily taken for it."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_USERNAME_RESERVED)


class PasswordTooCommon(FailedPrecondition):
    """The password is among those that everybody tries first."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_PASSWORD_TOO_COMMON)


class CredentialsWrong(Unauthenticated):
    """No account has this name and password; which of the two is wrong is not said."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_CREDENTIALS_WRONG)


class TooManyLogins(ResourceExhausted):
    """More passwords are being checked than the process takes at once, or one login is refreshed too often."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_TOO_MANY_LOGINS)


class TooManyGuesses(ResourceExhausted):
    """Too many wrong passwords for this name from here; the same is said of names that nobody has."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_TOO_MANY_GUESSES)


class PasswordWrong(PermissionDenied):
    """The password that was given as the current one is not the caller's."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_PASSWORD_WRONG)

    def __init__(self) -> None:
        why = "must be the password that the account has now"
        super().__init__("the current password is another one", fields=[FieldProblem("current_password", why)])


class AccountSuspended(PermissionDenied):
    """The account is suspended."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_ACCOUNT_SUSPENDED)


class SessionNotFound(NotFound):
    """The caller has no such login."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_SESSION_NOT_FOUND)


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is malformed, forged, or its login has ended."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_REFRESH_TOKEN_INVALID)


class UserNotFound(NotFound):
    """No such account."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_USER_NOT_FOUND)


class AppNotFound(NotFound):
    """No such app."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_APP_NOT_FOUND)


class RedirectUriInvalid(InvalidArgument):
    """A redirect address that no app may have, or that is none of this app's."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_REDIRECT_URI_INVALID)


class GrantInvalid(FailedPrecondition):
    """A code, a refresh token or a code verifier is wrong, used, expired, or another app's."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_GRANT_INVALID)


class ClientInvalid(Unauthenticated):
    """The app is unknown, or does not show its secret."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_CLIENT_INVALID)
