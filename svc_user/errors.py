"""Failures of accounts and logins; failures that no area owns are in runtime.errors."""

from aviary.user.v1 import reason_pb2

from runtime.errors import AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted, Unauthenticated, named


class UsernameTaken(AlreadyExists):
    """Another account has the username, or is being made with it."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_USERNAME_TAKEN)


class EmailTaken(AlreadyExists):
    """Another account has the e-mail address, or is being made with it."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_EMAIL_TAKEN)


class PasswordTooCommon(FailedPrecondition):
    """The password is among those that everybody tries first."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_PASSWORD_TOO_COMMON)


class CredentialsWrong(Unauthenticated):
    """No account has this name and password; which of the two is wrong is not said."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_CREDENTIALS_WRONG)


class TooManyLogins(ResourceExhausted):
    """More passwords are being checked than the process takes at once."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_TOO_MANY_LOGINS)


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is malformed, forged, or its login has ended."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_REFRESH_TOKEN_INVALID)


class UserNotFound(NotFound):
    """No such account."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_USER_NOT_FOUND)
